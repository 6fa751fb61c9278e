import { type CompiledAcl, compileAcl } from '../acl/compile.js'
import { denied } from '../acl/rule.js'
import type { Denied, DenyReason, Principal } from '../acl/types.js'
import { HashBusy, HashTimeout, RecordInvalid } from '../errors.js'
import { createBcryptHasher } from '../password/hasher.js'
import { createRefusalClock, type RefusalClock } from '../password/refusal.js'
import type { PasswordHasher } from '../password/types.js'
import { createVerifiedPasswords, type VerifiedPasswords } from '../password/verified.js'
import { encodeRecordKey } from '../record/key.js'
import { anonymousAccess, joinDetail, recordAccess } from './access.js'
import type { Account } from './accounts.js'
import type { Emitter } from './emitter.js'
import { compileOptions, type Settings } from './options.js'
import { TooManyChanges } from './record-cache.js'
import { type CheckedRequest, checkRequest } from './request.js'
import type { Resolution, Resolver } from './resolver.js'
import type { Snapshot } from './session.js'
import type { Sessions } from './sessions.js'
import type { AccessGranted, Authenticated, ConnectRequest } from './types.js'

/** A refusal with what only the event tells. */
class Refused {
  readonly decision: Denied
  readonly detail: string | undefined

  constructor(reason: DenyReason | Denied, detail?: string) {
    this.decision = typeof reason === 'string' ? denied(reason) : reason
    this.detail = detail
  }
}

/** What a granted CONNECT becomes: an open session, or only the knowledge of what it may do. */
type Admission<T> = (snapshot: Snapshot, attempt: Attempt<T>) => T | Refused

/** One CONNECT being judged. */
interface Attempt<T> {
  readonly request: ConnectRequest
  readonly checked: CheckedRequest
  readonly startedAt: number
  /** Aborted when the deadline has passed or the client has hung up: nothing may come of the attempt any more. */
  readonly signal: AbortSignal
  readonly admit: Admission<T>
}

/** Judges CONNECTs. */
export class Login {
  readonly #settings: Settings
  readonly #resolver: Resolver
  readonly #sessions: Sessions
  readonly #emitter: Emitter
  readonly hasher: PasswordHasher
  readonly verified: VerifiedPasswords
  readonly #refusals: RefusalClock
  /** The rules of clients without a user name; `undefined` refuses them. */
  readonly anonymous: CompiledAcl | undefined

  constructor(settings: Settings, resolver: Resolver, sessions: Sessions, emitter: Emitter) {
    const { semantics, hashQueue, maxCost, maxVerified, verifiedTtlMs, refusalCapMs, anonymous, now } = settings
    this.#settings = settings
    this.#resolver = resolver
    this.#sessions = sessions
    this.#emitter = emitter
    this.anonymous = anonymous && compileAcl(anonymous, compileOptions(settings))
    this.hasher =
      settings.hasher ??
      createBcryptHasher({
        queue: hashQueue,
        maxCost,
        // VerneMQ's bcrypt takes the other names of the same algorithm for malformed hashes.
        ...(semantics === 'vernemq' && { acceptedPrefixes: ['$2a$'] }),
      })
    this.verified = createVerifiedPasswords({ max: maxVerified, ttlMs: verifiedTtlMs, now })
    this.#refusals = createRefusalClock({ capMs: refusalCapMs, now })
  }

  /** Judges a CONNECT and opens its session. */
  authenticate(request: ConnectRequest): Promise<Authenticated | Denied> {
    return this.#answer(request, (snapshot, attempt) => this.#open(snapshot, attempt))
  }

  /** Judges a CONNECT whose session somebody else keeps. */
  verify(request: ConnectRequest): Promise<AccessGranted | Denied> {
    return this.#answer(request, ({ account, compiled }, { checked: { principal } }) =>
      account === undefined
        ? anonymousAccess(principal, compiled)
        : recordAccess(principal, account, this.#settings.now()),
    )
  }

  async #answer<T extends { allow: true }>(request: ConnectRequest, admit: Admission<T>): Promise<T | Denied> {
    const startedAt = this.#settings.now()
    const checked = checkRequest(request, this.#settings.semantics === 'vernemq')
    const outcome = checked.ok
      ? await this.#withDeadline(request, signal => this.#judge({ request, checked, startedAt, signal, admit }))
      : new Refused(checked.reason, checked.detail)
    if (!(outcome instanceof Refused)) return outcome
    if (outcome.decision.reason === 'bad_credentials') await this.#holdBack(startedAt, request.signal)
    this.#report(checked.principal, request, outcome)
    return outcome.decision
  }

  #report(principal: Principal, { address, via }: ConnectRequest, { decision, detail }: Refused): void {
    this.#sessions.denials.loose({ principal, action: 'connect', decision, address, detail: joinDetail(via, detail) })
  }

  async #judge<T>(attempt: Attempt<T>): Promise<T | Refused> {
    const { principal, password } = attempt.checked
    if (password === undefined) return this.#admitAnonymous(attempt)
    try {
      return await this.#resolver.settle(principal, async isCurrent => {
        const resolution = await this.#resolve(principal, password)
        const refused = await this.#refuseBy(resolution, password, attempt)
        if (!isCurrent()) return undefined
        // From here to the open session nothing waits, so that no change can come in between.
        return refused ?? this.#admitBy(resolution.account as Account, resolution, attempt)
      })
    } catch (error) {
      if (error instanceof TooManyChanges) return new Refused('busy', error.message)
      this.#emitter.error(error, `login of ${encodeRecordKey(principal)}`)
      return new Refused('store_unavailable', error instanceof Error ? error.message : undefined)
    }
  }

  /** The deciding record; while the store cannot be read, one still trusted, if the password too was proven before. */
  async #resolve(principal: Principal, password: string): Promise<Resolution> {
    try {
      return await this.#resolver.resolve(principal)
    } catch (error) {
      const held = error instanceof TooManyChanges ? undefined : this.#resolver.inGrace(principal)
      const account = held?.account
      if (held === undefined || account === undefined || account instanceof RecordInvalid) throw error
      if (!this.verified.has(encodeRecordKey(account.key), account.passhash, password)) throw error
      return held
    }
  }

  async #refuseBy<T>({ account }: Resolution, password: string, attempt: Attempt<T>): Promise<Refused | undefined> {
    if (account === undefined) return new Refused('bad_credentials', 'no record')
    if (account instanceof RecordInvalid) return new Refused('record_invalid', account.message)
    const problem = this.hasher.passhashProblem(account.passhash)
    if (problem !== undefined) return new Refused('record_invalid', `passhash: ${problem}`)
    const refused = await this.#verify(account, password, attempt)
    if (refused !== undefined) return refused
    return this.#settings.now() >= account.endsAt ? new Refused('expired') : undefined
  }

  async #verify<T>({ key, passhash }: Account, password: string, attempt: Attempt<T>): Promise<Refused | undefined> {
    const text = encodeRecordKey(key)
    if (this.verified.has(text, passhash, password)) return undefined
    const timeoutMs = Math.max(1, Math.ceil(attempt.startedAt + this.#settings.connectTimeoutMs - this.#settings.now()))
    try {
      const proven = await this.hasher.verify(password, passhash, { timeoutMs, signal: attempt.signal })
      this.#refusals.observe(this.#settings.now() - attempt.startedAt)
      if (proven !== true) return new Refused('bad_credentials', 'wrong password')
      this.verified.add(text, passhash, password)
      return undefined
    } catch (error) {
      if (error instanceof HashBusy) return new Refused('busy', error.message)
      if (error instanceof HashTimeout || attempt.signal.aborted) return new Refused('deadline', 'password not judged')
      this.#emitter.error(error, 'password hasher')
      return new Refused('busy', 'password not judged')
    }
  }

  #admitBy<T>(account: Account, resolution: Resolution, attempt: Attempt<T>): T | Refused {
    return this.#admit({ account, compiled: account.compiled, resolution }, attempt)
  }

  #admitAnonymous<T>(attempt: Attempt<T>): T | Refused {
    if (this.anonymous === undefined) return new Refused('anonymous_refused')
    return this.#admit({ account: undefined, compiled: this.anonymous, resolution: undefined }, attempt)
  }

  #admit<T>(snapshot: Snapshot, attempt: Attempt<T>): T | Refused {
    const { request, checked, signal, admit } = attempt
    const { principal } = checked
    if (signal.aborted) return new Refused('deadline', 'the client is gone')
    if (request.will !== undefined) {
      const { topic, ...facts } = request.will
      const decision = snapshot.compiled.authorizePublish(principal, topic, facts)
      if (!decision.allow) return new Refused(decision, `will on ${JSON.stringify(String(topic).slice(0, 64))}`)
    }
    return admit(snapshot, attempt)
  }

  #open(snapshot: Snapshot, { request, checked: { principal } }: Attempt<Authenticated>): Authenticated | Refused {
    if (!this.#sessions.claim(principal, snapshot.account?.key).granted) return new Refused('client_id_taken')
    return { allow: true, session: this.#sessions.open(principal, request.address, snapshot) }
  }

  /** Runs `judge` until the deadline, or until the client hangs up; what it does afterwards comes to nothing. */
  async #withDeadline<T>(
    { signal }: ConnectRequest,
    judge: (signal: AbortSignal) => Promise<T | Refused>,
  ): Promise<T | Refused> {
    const controller = new AbortController()
    let stop: (refused: Refused) => void = () => {}
    const stopped = new Promise<Refused>(resolve => {
      stop = refused => {
        controller.abort()
        resolve(refused)
      }
    })
    const { connectTimeoutMs } = this.#settings
    const timer = setTimeout(() => stop(new Refused('deadline', `after ${connectTimeoutMs} ms`)), connectTimeoutMs)
    const hangUp = () => stop(new Refused('deadline', 'the client is gone'))
    if (signal?.aborted) hangUp()
    signal?.addEventListener('abort', hangUp, { once: true })
    try {
      return await Promise.race([judge(controller.signal), stopped])
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', hangUp)
    }
  }

  /** Waits for the moment at which every refused login is told, so that its time does not tell why. */
  async #holdBack(startedAt: number, signal: AbortSignal | undefined): Promise<void> {
    const delayMs = this.#refusals.delayFor(startedAt)
    if (delayMs <= 0 || signal?.aborted) return
    await new Promise<void>(resolve => {
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, delayMs)
      signal?.addEventListener('abort', done, { once: true })
    })
  }
}
