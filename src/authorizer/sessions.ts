import type { Principal } from '../acl/types.js'
import { RecordInvalid } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { Account } from './accounts.js'
import { DenialReporter } from './denials.js'
import { Dependents } from './dependents.js'
import type { Emitter } from './emitter.js'
import type { Known } from './record-cache.js'
import type { Resolution, Resolver } from './resolver.js'
import { LiveSession, type SessionContext, type Snapshot } from './session.js'
import type { Trust } from './trust.js'
import type { RevokeCause, SessionChange } from './types.js'

/** Sessions whose records are read again at the same time, so that logins are not kept waiting behind them. */
const MAX_REFRESHES = 64

/** What became of a claim to a client id. */
export type Claim =
  | { readonly granted: true; readonly displaced: LiveSession | undefined }
  | { readonly granted: false }

/** The live sessions, and what happens to them when records change. */
export class Sessions implements SessionContext {
  readonly trust: Trust
  readonly denials: DenialReporter
  readonly #resolver: Resolver
  readonly #emitter: Emitter
  readonly #all: Set<LiveSession> = new Set()
  readonly #dependents: Dependents<LiveSession> = new Dependents()
  /** The session that holds a client id, by mountpoint and client id. */
  readonly #holders: Map<string, LiveSession> = new Map()
  /** Work begun by `named`, so that who reported the change can wait for it. */
  readonly #refreshing: Map<LiveSession, Promise<void>> = new Map()

  constructor(resolver: Resolver, trust: Trust, emitter: Emitter) {
    this.#resolver = resolver
    this.trust = trust
    this.#emitter = emitter
    this.denials = new DenialReporter(emitter, trust.now)
  }

  get size(): number {
    return this.#all.size
  }

  values(): IterableIterator<LiveSession> {
    return this.#all.values()
  }

  /**
   * Decides who may hold a client id: the same record takes it over; an exact record displaces a `*` one, and either an
   * anonymous client, never the reverse; any other newcomer is refused.
   */
  claim({ mountpoint, clientId }: Principal, key: RecordKey | undefined): Claim {
    const holder = this.#holders.get(holderText(mountpoint, clientId))
    if (holder === undefined || rank(key) > rank(holder.recordKey)) return { granted: true, displaced: holder }
    const same = key === undefined ? holder.recordKey === undefined : isSameKey(key, holder.recordKey)
    return same ? { granted: true, displaced: holder } : { granted: false }
  }

  /** Opens a session, and settles what becomes of the one it takes the client id from. */
  open(principal: Principal, address: string | undefined, snapshot: Snapshot): LiveSession {
    const session = new LiveSession(principal, address, snapshot, this)
    const place = holderText(principal.mountpoint, principal.clientId)
    const holder = this.#holders.get(place)
    this.#all.add(session)
    this.#dependents.add(session)
    this.#holders.set(place, session)
    if (holder !== undefined) {
      const addresses = [holder.address, address] as const
      this.#emitter.emit('takeover', { at: Date.now(), principal, session, from: holder, to: session, addresses })
      const key = snapshot.account?.key
      if (key !== undefined && !isSameKey(key, holder.recordKey)) this.revoke(holder, 'client_id_taken')
    }
    return session
  }

  closed(session: LiveSession): void {
    this.#all.delete(session)
    this.#dependents.remove(session)
    const place = holderText(session.principal.mountpoint, session.principal.clientId)
    if (this.#holders.get(place) === session) this.#holders.delete(place)
  }

  revoke(session: LiveSession, cause: RevokeCause): void {
    if (!session.revoke(cause)) return
    this.#emitter.emit('revoked', { at: Date.now(), principal: session.principal, session, cause })
  }

  named(session: LiveSession): void {
    void this.#refresh(session)
  }

  /** A record may have changed. Resolves when the sessions that depend on it decide by what it is now. */
  async changed(key: RecordKey): Promise<void> {
    const sessions = this.#dependents.of(key)
    for (const session of sessions) session.named(key)
    await Promise.all(sessions.map(session => this.#refreshing.get(session)))
  }

  /** Anything may have changed. Called before the new epoch begins. */
  settleEpoch(): void {
    for (const session of this.#all) session.settleEpoch()
  }

  /** Reads the records of all sessions again that need it, a few at a time. */
  async refreshDue(): Promise<void> {
    const now = this.trust.now()
    const due: LiveSession[] = []
    for (const session of [...this.#all]) {
      if (now >= session.endsAt) this.revoke(session, 'expired')
      else if (session.isDue(now)) due.push(session)
    }
    const worker = async () => {
      for (let session = due.pop(); session !== undefined; session = due.pop()) await this.#refresh(session, now)
    }
    await Promise.all(Array.from({ length: Math.min(MAX_REFRESHES, due.length) }, worker))
  }

  /** Ends all sessions without cutting their clients. */
  closeAll(): void {
    for (const session of [...this.#all]) session.close()
  }

  #refresh(session: LiveSession, readSince?: number): Promise<void> {
    const running = this.#refreshing.get(session)
    if (running !== undefined) return running
    const started = this.#readAgain(session, readSince)
    this.#refreshing.set(session, started)
    return started
  }

  async #readAgain(session: LiveSession, readSince: number | undefined): Promise<void> {
    // One turn later it is listed as running, whatever the rest does.
    await undefined
    try {
      for (let naming = -1; naming !== session.namings && !session.isEnded; ) {
        naming = session.namings
        const absent = this.#knownAbsent(session, readSince)
        const resolution = await this.#resolver.resolve(session.principal, readSince, absent)
        // Named meanwhile: what was read may be older than that.
        if (naming === session.namings) await this.#apply(session, resolution)
      }
    } catch (error) {
      // The session goes on for as long as its bound allows; the next round tries again.
      this.#emitter.error(error, `refresh of ${encodeRecordKey(session.principal)}`)
    } finally {
      this.#refreshing.delete(session)
    }
  }

  /** Spares the look-up of the exact record where only the `*` record was named, as for thousands of sessions on one role. */
  #knownAbsent(session: LiveSession, readSince: number | undefined): Known | undefined {
    if (readSince !== undefined || session.isExactNamed) return undefined
    const since = session.exactAbsentSince(this.trust.now())
    return since && { key: session.principal, account: undefined, ...since }
  }

  async #apply(session: LiveSession, resolution: Resolution): Promise<void> {
    if (session.isEnded) return
    const { account } = resolution
    if (account instanceof RecordInvalid) {
      session.block('record_invalid')
      this.#emitter.error(account, `record of ${encodeRecordKey(session.principal)}`)
      return
    }
    const cause = causeToRevoke(session, account, this.trust.now())
    if (account === undefined || cause !== undefined) return this.revoke(session, cause ?? 'deleted')
    const change = session.replace(account, resolution)
    if (change !== undefined) await this.#announce(session, change)
  }

  async #announce(session: LiveSession, change: SessionChange): Promise<void> {
    this.#emitter.emit('changed', { at: Date.now(), principal: session.principal, ...change })
    try {
      await session.tell(change)
    } catch (error) {
      this.#emitter.error(error, 'listener of onChange')
    }
  }
}

/** Why a session must end, given the record that decides for it now. */
function causeToRevoke(session: LiveSession, account: Account | undefined, now: number): RevokeCause | undefined {
  const before = session.account
  if (before === undefined) return undefined
  if (account === undefined) return 'deleted'
  // Another record decides: its password was not proven by this client.
  if (!isSameKey(account.key, before.key)) return account.key.clientId === '*' ? 'deleted' : 'password'
  if (account.passhash !== before.passhash) return 'password'
  return now >= account.endsAt ? 'expired' : undefined
}

function rank(key: RecordKey | undefined): number {
  return key === undefined ? 0 : key.clientId === '*' ? 1 : 2
}

function isSameKey(a: RecordKey, b: RecordKey | undefined): boolean {
  return b !== undefined && encodeRecordKey(a) === encodeRecordKey(b)
}

function holderText(mountpoint: string, clientId: string): string {
  return JSON.stringify([mountpoint, clientId])
}
