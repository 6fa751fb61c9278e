import type { Principal } from '../acl/types.js'
import { RecordInvalid } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { ChangeEffects } from '../store/types.js'
import type { AddressSource } from './address.js'
import { DenialReporter } from './denials.js'
import { describeKey } from './describe.js'
import type { Emitter } from './emitter.js'
import { Expiries } from './expiries.js'
import { Gate } from './gate.js'
import type { LoopWatch } from './loops.js'
import type { Settings } from './options.js'
import { type Known, TooManyChanges } from './record-cache.js'
import { spreadOf } from './refresh-share.js'
import type { ResolveOptions, Resolver } from './resolver.js'
import { LiveSession } from './session.js'
import type { SessionContext, Snapshot } from './session-context.js'
import { SessionIndex } from './session-index.js'
import { causeToRevoke, Succession } from './succession.js'
import { Sweep } from './sweep.js'
import type { Takeovers } from './takeovers.js'
import { Tally } from './tally.js'
import type { Trust } from './trust.js'
import { nextTurn, TURN } from './turn.js'
import type { RevokeCause, SessionChange } from './types.js'

/** Records that changed and are read at the same time: a tool may change all of them at once. */
const MAX_CHANGES = 200

const MAX_TRIES = 3

/** Sessions told in one turn that a change has named their record. */
const NAMED_A_TURN = 5_000

/** A session that is being read again, and the change that what comes of it is counted for, if there is one. */
interface Refreshing {
  /** Whether the store could be asked. */
  finished: Promise<boolean>
  tally: Tally | undefined
}

/** What sessions are made with. */
export interface SessionsParts {
  readonly resolver: Resolver
  readonly trust: Trust
  readonly emitter: Emitter
  readonly loops: LoopWatch
  readonly takeovers: Takeovers
  readonly settings: Pick<Settings, 'takeover' | 'wildcardClientId'>
}

/** The live sessions, and what happens to them when records change. */
export class Sessions implements SessionContext {
  readonly trust: Trust
  readonly denials: DenialReporter
  readonly succession: Succession
  readonly #resolver: Resolver
  readonly #emitter: Emitter
  readonly #index: SessionIndex
  readonly #expiries: Expiries
  readonly #refreshing: Map<LiveSession, Refreshing> = new Map()
  /** Listeners at work, so that who reported the change can wait for them. */
  readonly #telling: Map<LiveSession, Promise<unknown>> = new Map()
  readonly #reads: Gate = new Gate(MAX_CHANGES)
  readonly #sweep: Sweep
  #opened = 0

  constructor(parts: SessionsParts) {
    const { resolver, trust, emitter, loops, takeovers, settings } = parts
    this.#resolver = resolver
    this.trust = trust
    this.#emitter = emitter
    this.denials = new DenialReporter(emitter, loops, trust.now)
    this.#index = new SessionIndex(settings.wildcardClientId)
    this.succession = new Succession({ index: this.#index, takeovers, policy: settings.takeover })
    this.#sweep = new Sweep(trust, this.#index, {
      end: session => void this.revoke(session, 'expired'),
      refresh: (session, share) => this.#refresh(session, share),
      width: () => resolver.readsAtOnce,
    })
    this.#expiries = new Expiries(trust.now, session => this.#sweep.look(session))
  }

  get size(): number {
    return this.#index.size
  }

  values(): IterableIterator<LiveSession> {
    return this.#index.values()
  }

  /** Opens a session. It has no client id before {@link confirm}. */
  open(principal: Principal, address: AddressSource, snapshot: Snapshot): LiveSession {
    const session = new LiveSession(principal, address, snapshot, this)
    session.spread = spreadOf(this.#opened++)
    this.#index.add(session)
    this.#sweep.expect(session)
    this.#expectEnd(session)
    return session
  }

  confirm(session: LiveSession): boolean {
    const displaced = this.succession.confirm(session)
    if (displaced instanceof LiveSession) this.revoke(displaced, 'client_id_taken')
    return displaced !== false
  }

  closed(session: LiveSession): void {
    this.#index.remove(session)
    this.#expiries.forget(session)
    this.#sweep.forget(session)
  }

  failed(error: unknown, place: string): void {
    this.#emitter.error(error, place)
  }

  /** Does nothing when the session was ended before. */
  revoke(session: LiveSession, cause: RevokeCause, tally?: Tally): void {
    if (session.isEnded) return
    tally?.cut()
    this.#follow(session, session.revoke(cause), tally)
    this.#emitter.emit('revoked', { at: Date.now(), principal: session.principal, session, cause })
  }

  /**
   * A record may have changed. Resolves when the sessions that depend on it decide by what it is now, and have said so,
   * with what came of it. What two changes at once bring about is counted for one of them.
   */
  async changed(key: RecordKey): Promise<ChangeEffects> {
    const found = this.#index.of(key)
    const sessions: LiveSession[] = []
    const named = this.#name(found, key, sessions)
    const tally = new Tally()
    if (sessions.length === 0 && found.length <= NAMED_A_TURN) return tally.effects
    try {
      // One read for all of them. Where it fails, they go on as long as the bound allows, and the sweep tries again.
      await this.#reads.pass(encodeRecordKey(key), () => this.#resolver.prepare(key))
      await named
    } catch (error) {
      await named
      for (const session of sessions) this.#sweep.expect(session)
      if (sessions.some(({ isEnded }) => !isEnded)) {
        this.#emitter.error(error, `refresh of ${describeKey(key)}`)
        tally.fail(error)
      }
      return tally.effects
    }
    const telling: Promise<unknown>[] = []
    for (let done = 0; done < sessions.length; done += TURN) {
      if (done > 0) await nextTurn()
      const given = this.#resolver.given(key)
      const some = sessions.slice(done, done + TURN)
      const refreshing = some.map(session => this.#refresh(session, 1, { given, tally })).filter(isUnderWay)
      if (refreshing.length > 0) await Promise.all(refreshing)
      for (const session of some) {
        // Not before: until its record is read a session is due soon, and a sweep through all of them would be in vain.
        this.#sweep.expect(session)
        const told = this.#telling.get(session)
        if (told !== undefined) telling.push(told)
      }
    }
    await Promise.all(telling)
    return tally.effects
  }

  /**
   * Has sessions know that a change has named their record, the first of them before anything else happens, and adds those
   * that it concerns. Whenever a session hears of it, the time that it has to read again began now.
   */
  async #name(found: readonly LiveSession[], key: RecordKey, concerned: LiveSession[]): Promise<void> {
    const notice = this.trust.notice()
    for (let done = 0; done < found.length; done += NAMED_A_TURN) {
      if (done > 0) await nextTurn()
      for (const session of found.slice(done, done + NAMED_A_TURN)) {
        if (session.named(key, notice)) concerned.push(session)
      }
    }
  }

  /** Ends the sessions whose records have ended, and has those read again that are due, a few at a time. */
  sweep(): Promise<void> {
    return this.#sweep.run()
  }

  /** Ends all sessions without cutting their clients. */
  closeAll(): void {
    for (const session of this.#index.values()) session.close()
    this.#expiries.close()
  }

  /** Takes care that a session ends with its record, to the moment. */
  #expectEnd(session: LiveSession): void {
    this.#expiries.expect(session, session.account?.endsAt ?? Number.POSITIVE_INFINITY)
  }

  /** Brings a session up to date: in this turn, where what decides is held already. */
  #refresh(
    session: LiveSession,
    share: number,
    { given, tally }: { readonly given?: ResolveOptions; readonly tally?: Tally } = {},
  ): Promise<boolean> | undefined {
    const running = this.#refreshing.get(session)
    if (running !== undefined) running.tally ??= tally
    if (running !== undefined || session.isEnded) return running?.finished
    const exact = given?.exact ?? session.exactAbsence(this.trust.now(), share)
    const held = this.#resolver.held(session.principal, { share, exact, shared: given?.shared })
    if (held !== undefined) {
      this.#apply(session, held, tally)
      return undefined
    }
    const started: Refreshing = { tally, finished: Promise.resolve(true) }
    this.#refreshing.set(session, started)
    started.finished = this.#readAgain(session, share, started)
    return started.finished
  }

  /**
   * Reads until what was read is the latest, at most three times: a store that reports a change whenever it is asked
   * would never come to rest. The sweep tries again. Never rejects.
   */
  async #readAgain(session: LiveSession, share: number, refreshing: Refreshing): Promise<boolean> {
    let isSettled = false
    let isAnswered = true
    for (let tries = 0; tries < MAX_TRIES && !isSettled; tries++) {
      const { namings } = session
      const { epoch } = this.trust
      const isLatest = () => namings === session.namings && epoch === this.trust.epoch
      try {
        const exact = session.exactAbsence(this.trust.now(), share)
        const known = await this.#resolver.resolve(session.principal, { share, exact })
        isAnswered = true
        if (isLatest()) this.#apply(session, known, refreshing.tally)
      } catch (error) {
        isAnswered = error instanceof TooManyChanges
        const isLast = isLatest() || tries === MAX_TRIES - 1
        if (isLast && !session.isEnded) {
          this.#emitter.error(error, `refresh of ${describeKey(session.principal)}`)
          refreshing.tally?.fail(error)
        }
      }
      isSettled = session.isEnded || isLatest()
    }
    if (!isSettled) refreshing.tally?.fail('the record kept changing')
    this.#refreshing.delete(session)
    return isAnswered
  }

  #apply(session: LiveSession, known: Known, tally: Tally | undefined): void {
    if (session.isEnded) return
    const { account } = known
    if (account instanceof RecordInvalid) {
      if (session.block(known)) this.#emitter.error(account, `record of ${describeKey(session.principal)}`)
      return
    }
    const cause = causeToRevoke(session.account, account, this.trust.now())
    if (account === undefined || cause !== undefined) {
      this.revoke(session, cause ?? 'deleted', tally)
      return
    }
    const change = session.replace(account, known)
    this.#sweep.expect(session)
    this.#expectEnd(session)
    if (change !== undefined) this.#announce(session, change, tally)
  }

  #announce(session: LiveSession, change: SessionChange, tally: Tally | undefined): void {
    if (this.#emitter.heard('changed')) {
      const { previous, acl } = change
      this.#emitter.emit('changed', { at: Date.now(), principal: session.principal, session, previous, acl })
    }
    this.#follow(session, session.tell(change), tally)
  }

  #follow(session: LiveSession, told: Promise<ChangeEffects> | undefined, tally: Tally | undefined): void {
    const finished = told?.then(effects => {
      tally?.add(effects)
      if (this.#telling.get(session) === finished) this.#telling.delete(session)
    })
    if (finished !== undefined) this.#telling.set(session, finished)
  }
}

function isUnderWay(work: Promise<unknown> | undefined): work is Promise<unknown> {
  return work !== undefined
}
