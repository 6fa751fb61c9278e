import type { CompiledAcl } from '../acl/compile.js'
import { denied } from '../acl/rule.js'
import type { Action, Decision, Denied, Principal, PublishFacts, Semantics, SubscribeFacts } from '../acl/types.js'
import { AuthorizerClosed } from '../errors.js'
import type { ChangeEffects, RecordStore, StoreEvent } from '../store/types.js'
import { anonymousAccess, recordAccess } from './access.js'
import { Emitter } from './emitter.js'
import type { AuthorizerEvents } from './events.js'
import { Login } from './login.js'
import { type Found, Lookups } from './lookups.js'
import { LoopWatch } from './loops.js'
import { type AuthorizerOptions, resolveOptions, type Settings } from './options.js'
import { RecordCache } from './record-cache.js'
import { identityProblem } from './request.js'
import { Resolver } from './resolver.js'
import { Sessions } from './sessions.js'
import { Takeovers } from './takeovers.js'
import { Trust } from './trust.js'
import type {
  AccessGranted,
  AccessRefused,
  AccessRequest,
  Authenticated,
  Authorizer,
  AuthorizerStats,
  ConnectRequest,
  FormerHolder,
  Freshness,
  Refusal,
  Session,
} from './types.js'

/** How often sessions are looked through for what is due, in milliseconds, unless the limits are too short for that. */
const SWEEP_MS = 1_000

/**
 * Makes an authorizer: it decides for a broker from the records of a store, and follows their changes.
 *
 * Opens nothing itself, and does not wait: decisions read the store as they need it. Records are cached, and forgotten
 * as soon as the store reports a change; sessions hold their rules and are brought up to date, or revoked, by the same
 * report. What is unknown is refused: a store that fails or hangs, a record that is none, a queue that is full.
 *
 * Exported from `mqtt-warden`.
 *
 * @example
 * ```ts
 * const authorizer = createAuthorizer({ store: createRedisStore('redis://127.0.0.1') })
 * authorizer.on('denied', event => console.warn(describeDenial(event)))
 * const login = await authorizer.authenticate({ clientId: '1528361231', username: '101', password })
 * if (login.allow) login.session.authorizePublish('say').allow
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  return new StoreAuthorizer(resolveOptions(options))
}

class StoreAuthorizer implements Authorizer {
  readonly semantics: Semantics
  readonly store: RecordStore
  readonly takeover: 'newest' | 'first'
  readonly #trust: Trust
  readonly #cache: RecordCache
  readonly #resolver: Resolver
  readonly #emitter: Emitter
  readonly #lookups: Lookups
  readonly #takeovers: Takeovers
  readonly #sessions: Sessions
  readonly #login: Login
  readonly #anonymous: CompiledAcl | undefined
  readonly #unwatch: () => void
  readonly #sweep: NodeJS.Timeout
  readonly #waiting: Set<{ resolve: () => void; reject: (error: Error) => void }> = new Set()
  readonly #logins = { allowed: 0, denied: 0 }
  #isLive = false
  #closing: Promise<void> | undefined

  constructor(settings: Settings) {
    const { store, semantics, anonymous, wildcardClientId, maxAgeMs, staleWindowMs, now } = settings
    this.semantics = semantics
    this.store = store
    this.takeover = settings.takeover
    this.#anonymous = anonymous
    this.#emitter = new Emitter(now)
    this.#trust = new Trust(settings, now)
    this.#cache = new RecordCache(settings, this.#trust)
    this.#resolver = new Resolver(this.#cache, this.#trust, wildcardClientId)
    this.#lookups = new Lookups(this.#resolver, this.#trust, this.#emitter, () => this.#isClosed)
    const loops = new LoopWatch(settings, store.shared, this.#emitter, now)
    this.#takeovers = new Takeovers({ loops, emitter: this.#emitter, nodeId: store.nodeId })
    this.#sessions = new Sessions({
      resolver: this.#resolver,
      trust: this.#trust,
      emitter: this.#emitter,
      loops,
      takeovers: this.#takeovers,
      settings,
    })
    this.#login = new Login(settings, this.#resolver, this.#sessions, this.#emitter)
    const watching = { decidesForMs: this.#trust.longestMs, sessions: () => this.#sessions.size }
    this.#unwatch = store.watch(event => this.#hear(event), watching)
    const look = () => {
      void this.#login.noteArrivals()
      if (settings.wasClockSet() && this.#cache.hasEnds) this.#renew()
      else void this.#sessions.sweep()
    }
    this.#sweep = setInterval(look, Math.min(SWEEP_MS, staleWindowMs / 4, maxAgeMs / 4)).unref()
  }

  async ready(): Promise<void> {
    if (this.#isClosed) throw new AuthorizerClosed('the authorizer is closed')
    if (this.#isLive || this.store.hears === 'nothing') return
    await new Promise<void>((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  async authenticate(request: ConnectRequest): Promise<Authenticated | Denied> {
    if (this.#isClosed) return denied('closed')
    const outcome = await this.#login.authenticate(request)
    if (this.#isClosed) {
      if (outcome.allow) outcome.session.close()
      return denied('closed')
    }
    this.#logins[outcome.allow ? 'allowed' : 'denied']++
    return outcome
  }

  authenticateNow(request: ConnectRequest): Authenticated | undefined {
    const outcome = this.#isClosed ? undefined : this.#login.authenticateNow(request)
    if (outcome !== undefined) this.#logins.allowed++
    return outcome
  }

  async verify(request: ConnectRequest): Promise<AccessGranted | Denied> {
    if (this.#isClosed) return denied('closed')
    const outcome = await this.#login.verify(request)
    if (this.#isClosed) return denied('closed')
    this.#logins[outcome.allow ? 'allowed' : 'denied']++
    return outcome
  }

  access(request: AccessRequest): AccessGranted | AccessRefused | Promise<AccessGranted | AccessRefused> {
    const { mountpoint = '', clientId, username } = request
    const principal: Principal = { mountpoint, clientId, username: username ?? '' }
    if (username === undefined) return this.#anonymousAccess(principal)
    const now = this.#trust.now()
    const found = this.#lookups.held(principal, now)
    return found === undefined
      ? this.#lookups.find(principal).then(read => accessBy(principal, read, this.#trust.now()))
      : accessBy(principal, found, now)
  }

  refuse({ decision, ...denial }: Refusal): Denied {
    this.#sessions.denials.loose({ ...denial, decision })
    return decision
  }

  tookOver(session: Session, former: FormerHolder): void {
    this.#takeovers.elsewhere(session, former)
  }

  authorizePublish(principal: Principal, topic: string, facts?: PublishFacts): Promise<Decision> {
    return this.#decide(principal, 'publish', topic, (acl, who) => acl.authorizePublish(who, topic, facts))
  }

  authorizeSubscribe(principal: Principal, filter: string, facts?: SubscribeFacts): Promise<Decision> {
    return this.#decide(principal, 'subscribe', filter, (acl, who) => acl.authorizeSubscribe(who, filter, facts))
  }

  authorizeReceive(principal: Principal, topic: string): Promise<Decision> {
    return this.#decide(principal, 'receive', topic, (acl, who) => acl.authorizeReceive(who, topic))
  }

  freshness(): Freshness {
    return this.#trust.freshness(this.store)
  }

  stats(): AuthorizerStats {
    const { hits, misses, discarded } = this.#cache
    return {
      ...this.#cache.sizes,
      sessions: this.#sessions.size,
      hits,
      misses,
      discarded,
      logins: { ...this.#logins },
      throttled: this.#login.throttled,
      hashing: this.#login.passwords.hasher.stats(),
      sharedHashes: this.#login.passwords.shared,
      rehashed: this.#login.rehasher.done,
      verifiedPasswords: this.#login.passwords.proven,
    }
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values()
  }

  on<E extends keyof AuthorizerEvents>(event: E, listener: (event: AuthorizerEvents[E]) => void): this {
    this.#emitter.on(event, listener)
    return this
  }

  once<E extends keyof AuthorizerEvents>(event: E, listener: (event: AuthorizerEvents[E]) => void): this {
    this.#emitter.once(event, listener)
    return this
  }

  off<E extends keyof AuthorizerEvents>(event: E, listener: (event: AuthorizerEvents[E]) => void): this {
    this.#emitter.off(event, listener)
    return this
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #isClosed(): boolean {
    return this.#closing !== undefined
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweep)
    for (const { reject } of this.#waiting) reject(new AuthorizerClosed('the authorizer was closed'))
    this.#waiting.clear()
    this.#sessions.closeAll()
    const ended = this.#login.close()
    this.#cache.close()
    try {
      this.#unwatch()
    } finally {
      await ended
    }
  }

  /** Takes note of what the store reports. Resolves when the sessions concerned decide by it; never rejects. */
  async #hear(event: StoreEvent): Promise<ChangeEffects | undefined> {
    if (this.#isClosed) return undefined
    try {
      if (event.type === 'changed') {
        this.#resolver.named(event.key)
        return await this.#sessions.changed(event.key)
      }
      if (event.type === 'unknown') this.#renew()
      else if (event.type === 'link') this.#hearLink(event.state, event.at)
      else if (event.type === 'error') this.#emitter.error(event.error, `store: ${event.place}`)
      else throw new TypeError('unknown kind of event')
      return undefined
    } catch (error) {
      // It cannot be read, and may have meant any change.
      this.#renew()
      this.#emitter.error(error, 'event of the store')
      return { failed: 'an event of the store could not be read' }
    }
  }

  /** Anything may have changed. */
  #renew(): void {
    this.#trust.renew()
    this.#cache.clear()
    void this.#sessions.sweep()
  }

  #hearLink(state: 'live' | 'blind', at: number): void {
    const before = this.#trust.state
    this.#trust.hear(state, at)
    if (state === 'live') {
      this.#isLive = true
      for (const { resolve } of this.#waiting) resolve()
      this.#waiting.clear()
    }
    if (state !== before) this.#emitter.emit('link', { at: Date.now(), state })
  }

  async #decide(
    { mountpoint, clientId, username }: Principal,
    action: Action,
    subject: string,
    ask: (acl: CompiledAcl, principal: Principal) => Decision,
  ): Promise<Decision> {
    // A copy: the caller's may change while the store is asked.
    const principal = { mountpoint, clientId, username }
    const held = this.#lookups.held(principal, this.#trust.now())
    const [found, detail] = held ?? (await this.#lookups.find(principal))
    const decision = 'compiled' in found ? ask(found.compiled, principal) : found
    if (!decision.allow) this.#sessions.denials.loose({ principal, action, subject, decision, detail })
    return decision
  }

  /** What clients without a user name may do. */
  #anonymousAccess(principal: Principal): AccessGranted | AccessRefused {
    if (this.#isClosed) return denied('closed')
    const problem = identityProblem(principal)
    if (problem !== undefined) return { ...denied('client_id_refused'), detail: problem }
    if (this.#anonymous === undefined) return denied('anonymous_refused')
    return anonymousAccess(principal, this.#anonymous)
  }
}

function accessBy(principal: Principal, [found, detail]: Found, now: number): AccessGranted | AccessRefused {
  if ('compiled' in found) return recordAccess(principal, found, now)
  return detail === undefined ? found : { ...found, detail }
}
