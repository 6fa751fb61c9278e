import type { CompiledAcl } from '../acl/compile.js'
import { denied } from '../acl/rule.js'
import type { Action, Decision, Denied, Principal, PublishFacts, Semantics, SubscribeFacts } from '../acl/types.js'
import { AuthorizerClosed, RecordInvalid } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordStore, StoreEvent } from '../store/types.js'
import { anonymousAccess, recordAccess } from './access.js'
import type { Account } from './accounts.js'
import { Emitter } from './emitter.js'
import { Login } from './login.js'
import { type AuthorizerOptions, resolveOptions, type Settings } from './options.js'
import { RecordCache, TooManyChanges } from './record-cache.js'
import { identityProblem } from './request.js'
import { Resolver } from './resolver.js'
import { Sessions } from './sessions.js'
import { Trust } from './trust.js'
import type {
  AccessGranted,
  AccessRefused,
  AccessRequest,
  Authenticated,
  Authorizer,
  AuthorizerEvents,
  AuthorizerStats,
  ConnectRequest,
  Freshness,
  Refusal,
  Session,
} from './types.js'

/** How often sessions are looked through for what is due, in milliseconds. */
const SWEEP_MS = 1_000

/**
 * Makes an authorizer: it decides for a broker from the records of a store, and follows their changes.
 *
 * Opens nothing itself, and does not wait: decisions read the store as they need it. Records are cached, and forgotten as
 * soon as the store reports a change; sessions hold their rules and are brought up to date, or revoked, by the same
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
  readonly #trust: Trust
  readonly #cache: RecordCache
  readonly #resolver: Resolver
  readonly #emitter = new Emitter()
  readonly #sessions: Sessions
  readonly #login: Login
  readonly #unwatch: () => void
  readonly #sweep: NodeJS.Timeout
  readonly #waiting: Set<{ resolve: () => void; reject: (error: Error) => void }> = new Set()
  readonly #logins = { allowed: 0, denied: 0 }
  #isLive = false
  #isClosed = false
  #isSweeping = false
  #sweepsWanted = false

  constructor(settings: Settings) {
    this.semantics = settings.semantics
    this.store = settings.store
    this.#trust = new Trust(settings, settings.now)
    this.#cache = new RecordCache(settings, this.#trust)
    this.#resolver = new Resolver(this.#cache, settings.wildcardClientId)
    this.#sessions = new Sessions(this.#resolver, this.#trust, this.#emitter)
    this.#login = new Login(settings, this.#resolver, this.#sessions, this.#emitter)
    this.#unwatch = settings.store.watch(event => this.#hear(event))
    this.#sweep = setInterval(() => void this.#sweepOnce(), SWEEP_MS).unref()
  }

  async ready(): Promise<void> {
    if (this.#isClosed) throw new AuthorizerClosed('the authorizer is closed')
    if (this.#isLive) return
    await new Promise<void>((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  async authenticate(request: ConnectRequest): Promise<Authenticated | Denied> {
    if (this.#isClosed) return denied('closed')
    const outcome = await this.#login.authenticate(request)
    if (outcome.allow && this.#isClosed) {
      outcome.session.close()
      return denied('closed')
    }
    this.#logins[outcome.allow ? 'allowed' : 'denied']++
    return outcome
  }

  async verify(request: ConnectRequest): Promise<AccessGranted | Denied> {
    if (this.#isClosed) return denied('closed')
    const outcome = await this.#login.verify(request)
    if (this.#isClosed) return denied('closed')
    this.#logins[outcome.allow ? 'allowed' : 'denied']++
    return outcome
  }

  async access(request: AccessRequest): Promise<AccessGranted | AccessRefused> {
    const { mountpoint = '', clientId, username } = request
    const principal: Principal = { mountpoint, clientId, username: username ?? '' }
    if (username === undefined) return this.#anonymous(principal)
    const [found, detail] = await this.#account(principal)
    if ('compiled' in found) return recordAccess(principal, found, this.#trust.now())
    return detail === undefined ? found : { ...found, detail }
  }

  refuse({ decision, ...denial }: Refusal): Denied {
    this.#sessions.denials.loose({ ...denial, decision })
    return decision
  }

  authorizePublish(principal: Principal, topic: string, facts?: PublishFacts): Promise<Decision> {
    return this.#decide(principal, 'publish', topic, acl => acl.authorizePublish(principal, topic, facts))
  }

  authorizeSubscribe(principal: Principal, filter: string, facts?: SubscribeFacts): Promise<Decision> {
    return this.#decide(principal, 'subscribe', filter, acl => acl.authorizeSubscribe(principal, filter, facts))
  }

  authorizeReceive(principal: Principal, topic: string): Promise<Decision> {
    return this.#decide(principal, 'receive', topic, acl => acl.authorizeReceive(principal, topic))
  }

  freshness(): Freshness {
    const { limits, liveAt, state, graceMs } = this.#trust
    const isNeverDeaf = liveAt === Number.POSITIVE_INFINITY
    return {
      state,
      boundMs: isNeverDeaf ? 0 : graceMs,
      terms: {
        staleWindowMs: limits.staleWindowMs,
        readTimeoutMs: limits.readTimeoutMs,
        outageGraceMs: limits.outageGraceMs,
        maxAgeMs: limits.maxAgeMs,
      },
      ageMs: isNeverDeaf ? 0 : this.#trust.now() - liveAt,
    }
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
      hashing: this.#login.hasher.stats(),
      verifiedPasswords: this.#login.verified.size,
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

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#sweep)
    this.#unwatch()
    for (const { reject } of this.#waiting) reject(new AuthorizerClosed('the authorizer was closed'))
    this.#waiting.clear()
    this.#sessions.closeAll()
    this.#cache.clear()
    this.#login.verified.clear()
    await this.#login.hasher.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Takes note of what the store reports. Resolves when the sessions concerned decide by it. */
  async #hear(event: StoreEvent): Promise<void> {
    if (this.#isClosed) return
    switch (event.type) {
      case 'changed':
        this.#resolver.named(event.key)
        return this.#sessions.changed(event.key)
      case 'unknown':
        this.#sessions.settleEpoch()
        this.#trust.epoch++
        this.#resolver.lost()
        void this.#sweepOnce()
        return
      case 'link':
        return this.#hearLink(event.state, event.at)
      case 'error':
        this.#emitter.error(event.error, `store: ${event.place}`)
    }
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

  /** Looks through the sessions once, or once more if somebody asks while that is being done. */
  async #sweepOnce(): Promise<void> {
    this.#sweepsWanted = true
    if (this.#isSweeping) return
    this.#isSweeping = true
    while (this.#sweepsWanted && !this.#isClosed) {
      this.#sweepsWanted = false
      await this.#sessions.refreshDue()
    }
    this.#isSweeping = false
  }

  async #decide(
    principal: Principal,
    action: Action,
    subject: string,
    ask: (acl: CompiledAcl) => Decision,
  ): Promise<Decision> {
    const [found, detail] = await this.#account(principal)
    const decision = 'compiled' in found ? ask(found.compiled) : found
    if (!decision.allow) this.#sessions.denials.loose({ principal, action, subject, decision, detail })
    return decision
  }

  /** What clients without a user name may do. */
  #anonymous(principal: Principal): AccessGranted | AccessRefused {
    if (this.#isClosed) return denied('closed')
    const problem = identityProblem(principal)
    if (problem !== undefined) return { ...denied('client_id_refused'), detail: problem }
    const { anonymous } = this.#login
    return anonymous === undefined ? denied('anonymous_refused') : anonymousAccess(principal, anonymous)
  }

  /** The account that decides for a principal at this moment, or why there is none. */
  async #account(principal: Principal): Promise<[Account | Denied, string?]> {
    if (this.#isClosed) return [denied('closed')]
    const problem = identityProblem(principal)
    if (problem !== undefined) return [denied('client_id_refused'), problem]
    try {
      const { account } = await this.#resolver.settle(principal, async isCurrent => {
        const resolution = await this.#resolver.resolve(principal)
        return isCurrent() ? resolution : undefined
      })
      if (this.#isClosed) return [denied('closed')]
      if (account === undefined) return [denied('bad_credentials'), 'no record']
      if (account instanceof RecordInvalid) return [denied('record_invalid'), account.message]
      if (this.#trust.now() >= account.endsAt) return [denied('expired')]
      return [account]
    } catch (error) {
      if (error instanceof TooManyChanges) return [denied('busy'), error.message]
      this.#emitter.error(error, `decision for ${encodeRecordKey(principal)}`)
      return [denied('store_unavailable')]
    }
  }
}
