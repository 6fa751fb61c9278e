import { AssertionError } from 'node:assert'
import { type AclRecord, type Authorizer, createAuthorizer, type Session } from 'mqtt-warden'
import { vi } from 'vitest'
import { connectOf, keyOf, plainHasher } from '../support.js'
import { CLIENTS, type Span, WorldStore } from './store.js'

const LIMITS = { maxAgeMs: 1_000, staleWindowMs: 100, readTimeoutMs: 20, outageGraceMs: 300, connectTimeoutMs: 100 }
/** The longest that a revoked right may survive while records can be read. */
const READABLE_BOUND_MS = LIMITS.staleWindowMs + LIMITS.readTimeoutMs
const BOUND_MS = Math.max(READABLE_BOUND_MS, LIMITS.outageGraceMs)

/** Longest time that passes without anything being done. */
const STEP_MS = 10
/** Time for the sweep to come round twice. */
const SWEEPS_MS = 60
const MAX_SESSIONS = 6

/** What a world may be like. */
export interface Kind {
  readonly isNeverDeaf: boolean
  readonly maxRecords: number
  /** How long a proven password lets in without being asked for again. */
  readonly verifiedTtlMs: number
}

interface Held {
  readonly session: Session
  readonly openedAt: number
}

/** The store, the authorizer, and everything that came of it. */
export class World {
  readonly store: WorldStore
  readonly authorizer: Authorizer
  readonly sessions: Held[] = []
  /** What went wrong where nobody waits. */
  readonly failures: unknown[] = []
  /** Every record there was, by its only pattern. */
  readonly #spans: Map<string, Span> = new Map()
  #versions = 0

  constructor({ isNeverDeaf, ...kind }: Kind) {
    this.store = new WorldStore(isNeverDeaf)
    const options = { hasher: plainHasher(), refusalCapMs: 0, throttle: false as const, maxAbsent: 2 }
    this.authorizer = createAuthorizer({ store: this.store, ...LIMITS, ...options, ...kind })
    this.authorizer.on('error', () => {})
    for (const at of this.store.lines.keys()) this.store.arm(at)
    this.store.deliverAll()
  }

  /** Writes a record whose one topic no other record has; one without a password deletes it. */
  write(id: string, password: string | undefined, how: 'write' | 'writeSilently' | 'restore' = 'write'): void {
    const rules = [{ pattern: `v${this.#versions++}` }]
    const record: AclRecord | undefined =
      password === undefined ? undefined : { passhash: `plain:${password}`, publishAcl: rules, subscribeAcl: rules }
    this.store[how](id, record)
    if (record !== undefined) this.#spans.set(rules[0]!.pattern, this.store.present(id))
  }

  logIn(client: string): void {
    const since = this.store.unknowns
    this.#later(async () => {
      const login = await this.authorizer.authenticate(connectOf(client))
      if (!login.allow) return
      const { session } = login
      this.sessions.push({ session, openedAt: performance.now() })
      if (this.sessions.length > MAX_SESSIONS) this.sessions.shift()!.session.close()
      const own = this.#spans.get(patternOf(session.acl.publishAcl))!
      demand(own.record!.passhash === 'plain:pw', 'nobody gets in with the password of another record')
      if (isGranted(session)) this.#judge(client, patternOf(session.acl.publishAcl), { since })
    })
  }

  /** Has every session decide. */
  decide(): void {
    if (this.store.isKnownDeaf)
      demand(this.authorizer.freshness().state === 'blind', 'what is deaf is known to be blind')
    for (const { session } of this.sessions) {
      if (!isGranted(session)) continue
      this.#judge(session.principal.clientId, patternOf(session.acl.publishAcl), { isSession: true })
    }
  }

  /** Asks for a decision without a session, which is made when it is answered. */
  ask(client: string): void {
    const since = this.store.unknowns
    for (const { record } of [client, '*'].flatMap(id => this.store.spans[id]!.slice(-2))) {
      if (record === undefined) continue
      const pattern = patternOf(record.publishAcl)
      this.#later(async () => {
        const { allow } = await this.authorizer.authorizePublish(keyOf(client), pattern)
        if (allow) this.#judge(client, pattern, { since })
      })
    }
  }

  #later(work: () => Promise<void>): void {
    work().catch(error => this.failures.push(error))
  }

  /**
   * A decision may rest only on what stood under a key not longer ago than the bound, and was not told to have ended: a
   * session has some time to read again then. What was asked for when anything may have changed is read after that.
   */
  #judge(client: string, pattern: string, { isSession = false, since = 0 }): void {
    const own = this.#spans.get(pattern)!
    const isOwn = this.store.spans[client]!.includes(own)
    const absence = this.store.spans[client]!.findLast(({ record }) => record === undefined)!
    const now = performance.now()
    const boundMs = this.store.readableMs >= READABLE_BOUND_MS ? READABLE_BOUND_MS : BOUND_MS
    for (const { endedAt, isSilent, toldAt, coveredBy } of isOwn ? [own] : [own, absence]) {
      const allowedMs = isSilent ? LIMITS.maxAgeMs : boundMs
      demand(now - endedAt <= allowedMs, `${pattern} was granted ${now - endedAt} ms after it ended, of ${allowedMs}`)
      const isUntold = toldAt === Number.POSITIVE_INFINITY || (isSession && now - toldAt < LIMITS.readTimeoutMs)
      demand(coveredBy > since, `${pattern} was granted to who asked when anything may have changed`)
      demand(isUntold, `${pattern} was granted ${now - toldAt} ms after its end was told`)
    }
  }

  /** Lets time pass, little by little. */
  async pass(ms: number): Promise<void> {
    this.store.isTroubled ||= this.store.reads.length > 0
    for (let left = ms; left > 0; left -= STEP_MS) {
      vi.advanceTimersByTime(Math.min(left, STEP_MS))
      await turn()
      this.decide()
    }
  }

  /** Lets everything arrive that is under way; then all decide by what the store holds, without further ado. */
  async calm(): Promise<void> {
    if (!this.store.isHeard) return
    this.store.reading = 'answered'
    await this.#drain()
    if (this.store.isTroubled) {
      await this.pass(SWEEPS_MS)
      await this.#drain()
    }
    this.store.isTroubled = false
    for (const held of this.sessions) this.#check(held)
    for (const client of CLIENTS) {
      const { record } = this.#deciding(client)
      if (record === undefined) continue
      const { allow } = await this.authorizer.authorizePublish(keyOf(client), patternOf(record.publishAcl))
      demand(allow, 'what the store holds is granted without a session')
    }
  }

  /** Brings the links back if need be, and {@link calm}s down. */
  async settle(): Promise<void> {
    for (const at of this.store.lines.keys()) {
      this.store.cut(at, true)
      this.store.arm(at)
    }
    this.store.isTroubled = true
    await this.calm()
  }

  async #drain(): Promise<void> {
    const { store } = this
    do {
      store.deliverAll()
      for (const read of [...store.reads]) read.answer()
      await turn()
    } while (store.reads.length > 0 || store.lines.some(({ news }) => news.length > 0))
  }

  /** The record that decides for a client. */
  #deciding(client: string): Span {
    const own = this.store.present(client)
    return own.record === undefined ? this.store.present('*') : own
  }

  #check({ session, openedAt }: Held): void {
    const { principal, recordKey, revokeCause } = session
    const id = recordKey!.clientId
    if (revokeCause !== undefined) {
      const since = (key: string) => this.store.spans[key]!.filter(({ endedAt }) => endedAt >= openedAt - BOUND_MS)
      const isChanged = since(id).some(({ record }) => record?.passhash !== 'plain:pw')
      const isHidden = id === '*' && since(principal.clientId).some(({ record }) => record !== undefined)
      demand(isChanged || isHidden, 'a revoked session had a reason to be')
      return
    }
    const { record } = this.#deciding(principal.clientId)
    demand(this.store.present(id).record === record, 'a session is on the record that decides for it')
    demand(record?.passhash === 'plain:pw', 'a session whose password was changed is revoked')
    demand(session.authorizePublish(patternOf(record!.publishAcl)).allow, 'what the store holds is granted')
  }
}

export const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Every way of asking a session for what its record allows. */
function isGranted(session: Session): boolean {
  if (session.revokeCause !== undefined) return false
  const pattern = patternOf(session.acl.publishAcl)
  const decisions = [session.authorizePublish(pattern), session.authorizeSubscribe(pattern)]
  return decisions.some(({ allow }) => allow)
}

function patternOf([rule]: AclRecord['publishAcl']): string {
  return rule!.pattern
}

/** Cheaper than `expect`, of which there would be millions. */
function demand(isMet: boolean, message: string): void {
  if (!isMet) throw new AssertionError({ message })
}
