import type { Denied, Principal } from '../acl/types.js'
import { HashBusy, HashTimeout, RecordInvalid } from '../errors.js'
import { createRefusalClock, type RefusalClock } from '../password/refusal.js'
import { encodeRecordKey } from '../record/key.js'
import { joinDetail } from './access.js'
import type { Account } from './accounts.js'
import { type Admission, Admissions } from './admission.js'
import { Attempt, Refused } from './attempt.js'
import { describeKey } from './describe.js'
import type { Emitter } from './emitter.js'
import { Guard, Visitor } from './guard.js'
import type { Settings } from './options.js'
import { Passwords } from './passwords.js'
import { type Known, TooManyChanges } from './record-cache.js'
import { Rehasher } from './rehasher.js'
import type { Resolver } from './resolver.js'
import type { Snapshot } from './session-context.js'
import type { Sessions } from './sessions.js'
import { LOGINS_A_TURN, Turns } from './turns.js'
import type { AccessGranted, Authenticated, ConnectRequest } from './types.js'

/** A password brought for an account, which need not exist. */
interface Claim {
  readonly account: Account | undefined
  readonly password: string
  readonly name: string
  readonly visitor: Visitor
}

/** Judges CONNECTs. */
export class Login {
  readonly #settings: Settings
  readonly #resolver: Resolver
  readonly #sessions: Sessions
  readonly #emitter: Emitter
  readonly passwords: Passwords
  readonly rehasher: Rehasher
  readonly #guard: Guard
  readonly #admissions: Admissions
  readonly #refusals: RefusalClock
  readonly #turns: Turns = new Turns(LOGINS_A_TURN)
  readonly #underWay: Set<Attempt> = new Set()
  /** Logins refused because too many had failed. */
  throttled = 0

  constructor(settings: Settings, resolver: Resolver, sessions: Sessions, emitter: Emitter) {
    this.#settings = settings
    this.#resolver = resolver
    this.#sessions = sessions
    this.#emitter = emitter
    this.passwords = new Passwords(settings)
    this.rehasher = new Rehasher(settings.rehash, settings.store, this.passwords, emitter)
    this.#guard = new Guard(settings)
    this.#admissions = new Admissions(sessions, this.#guard, settings.now)
    this.#refusals = createRefusalClock({ capMs: settings.refusalCapMs, now: settings.now })
  }

  /** Judges a CONNECT and opens its session, if all that takes is known; `undefined` where it has to be asked or refused. */
  authenticateNow(request: ConnectRequest): Authenticated | undefined {
    return this.#recall(new Attempt(request, this.#settings), this.#admissions.openRecalled)
  }

  /** Judges a CONNECT and opens its session. */
  async authenticate(request: ConnectRequest): Promise<Authenticated | Denied> {
    const attempt = new Attempt(request, this.#settings)
    return this.#recall(attempt, this.#admissions.openRecalled) ?? this.#answer(attempt, this.#admissions.open)
  }

  /** Judges a CONNECT whose session somebody else keeps. */
  async verify(request: ConnectRequest): Promise<AccessGranted | Denied> {
    const attempt = new Attempt(request, this.#settings)
    return this.#recall(attempt, this.#admissions.accessRecalled) ?? this.#answer(attempt, this.#admissions.access)
  }

  /** Takes note of where clients have come from that were let in at once. */
  noteArrivals(): Promise<void> {
    return this.#admissions.arrivals.note()
  }

  /** Refuses all that is under way, and ends the threads. */
  async close(): Promise<void> {
    for (const attempt of this.#underWay) attempt.stop(new Refused('closed'))
    this.rehasher.close()
    this.#guard.close()
    this.#admissions.arrivals.clear()
    await this.passwords.close()
  }

  /** Most logins are of clients that come back: what decides is held, and their password was proven before. */
  #recall<T>(attempt: Attempt, admit: Admission<T>): T | undefined {
    const { request, checked } = attempt
    if (request.signal?.aborted || !checked.ok || checked.password === undefined) return undefined
    const known = this.#resolver.held(checked.principal, { now: attempt.startedAt })
    const account = known?.account
    if (known === undefined || account === undefined || account instanceof RecordInvalid) return undefined
    const name = this.passwords.nameOf(account.text, account.passhash, checked.password)
    if (this.passwords.recall(name, account, attempt.startedAt) !== true) return undefined
    if (!this.#guard.isQuiet(attempt.startedAt)) {
      if (this.#guard.isShut(new Visitor(checked.principal, account.text, attempt))) return undefined
    }
    const outcome = this.#admit(snapshotOf(known, account), attempt, admit)
    return outcome instanceof Refused ? undefined : outcome
  }

  async #answer<T>(attempt: Attempt, admit: Admission<T>): Promise<T | Denied> {
    attempt.begin()
    this.#underWay.add(attempt)
    try {
      const outcome = await Promise.race([attempt.stopped, this.#judge(attempt, admit)])
      if (!(outcome instanceof Refused)) return outcome
      const { reason } = outcome.decision
      if (reason === 'throttled') this.throttled++
      if (reason === 'throttled' || reason === 'bad_credentials') await this.#holdBack(attempt)
      this.#report(attempt, outcome)
      return outcome.decision
    } finally {
      attempt.end()
      this.#underWay.delete(attempt)
    }
  }

  #report({ request: { via }, address, checked: { principal } }: Attempt, refused: Refused): void {
    const { decision, subject } = refused
    const detail = joinDetail(via, refused.detail)
    this.#sessions.denials.loose({ principal, action: 'connect', subject, decision, address, detail })
  }

  async #judge<T>(attempt: Attempt, admit: Admission<T>): Promise<T | Refused> {
    const { checked } = attempt
    if (!checked.ok) return new Refused(checked.reason, checked.detail)
    const { principal, password } = checked
    try {
      if (password === undefined) return this.#admitAnonymous(attempt, admit)
      const turn = this.#turns.take()
      if (turn !== undefined) await turn
      return await this.#resolver.settle(principal, async isCurrent => {
        if (attempt.refused !== undefined) return attempt.refused
        const known = await this.#resolve(principal, password)
        const account = await this.#prove(known, password, attempt)
        if (!isCurrent()) return undefined
        // From here to the open session nothing waits, so that no change can come in between.
        if (account instanceof Refused) return account
        return this.#admit(snapshotOf(known, account), attempt, admit)
      })
    } catch (error) {
      if (attempt.refused !== undefined) return attempt.refused
      if (error instanceof TooManyChanges) return new Refused('busy', error.message)
      this.#emitter.error(error, `login of ${describeKey(principal)}`)
      return new Refused('store_unavailable', error instanceof Error ? error.message : undefined)
    }
  }

  /** What decides; while the store cannot be read, what is still trusted, if the password too was proven before. */
  async #resolve(principal: Principal, password: string): Promise<Known> {
    try {
      return await this.#resolver.resolve(principal)
    } catch (error) {
      const held = error instanceof TooManyChanges ? undefined : this.#resolver.inGrace(principal)
      const account = held?.account
      if (held === undefined || account === undefined || account instanceof RecordInvalid) throw error
      const name = this.passwords.nameOf(account.text, account.passhash, password)
      if (this.passwords.recall(name, account) !== true) throw error
      return held
    }
  }

  /** The account, if it can be used and the password is its own. */
  async #prove({ account }: Known, password: string, attempt: Attempt): Promise<Account | Refused> {
    if (account instanceof RecordInvalid) return new Refused('record_invalid', account.message)
    const unusable = account && this.#refuseHash(account)
    if (unusable !== undefined) return unusable
    const claim = this.#claim(account, password, attempt)
    const refused = await this.#refute(claim, attempt)
    if (refused !== undefined || account === undefined) return refused ?? wrongPassword(account)
    this.#guard.passed(claim.visitor)
    return this.#settings.now() >= account.endsAt ? new Refused('expired') : account
  }

  #claim(account: Account | undefined, password: string, attempt: Attempt): Claim {
    const { principal } = attempt.checked
    const record = account?.text ?? encodeRecordKey(principal)
    const name = this.passwords.nameOf(record, account?.passhash ?? '', password)
    return { account, password, name, visitor: new Visitor(principal, record, attempt) }
  }

  /** Why the hash of an account cannot be used, if it cannot. */
  #refuseHash({ passhash }: Account): Refused | undefined {
    try {
      const problem = this.passwords.hasher.passhashProblem(passhash)
      return problem === undefined ? undefined : new Refused('record_invalid', `passhash: ${problem}`)
    } catch (error) {
      return this.#unjudged(error)
    }
  }

  /** Why the password does not count, if it does not. Nothing is asked for where it was found out before. */
  async #refute(claim: Claim, attempt: Attempt): Promise<Refused | undefined> {
    const recalled = this.passwords.recall(claim.name, claim.account)
    // Told before what was counted is asked for: who repeats himself guesses nothing.
    if (recalled === false) return wrongPassword(claim.account)
    if (recalled === true && !this.#guard.isShut(claim.visitor)) return undefined
    const block = await this.#guard.check(claim.visitor)
    if (attempt.refused !== undefined) return attempt.refused
    if (block !== undefined) {
      if (recalled === undefined) this.#guard.missed(block)
      return throttled()
    }
    return recalled === true ? undefined : this.#verify(claim, attempt)
  }

  /** Has the password hashed, where there is an account. */
  async #verify({ account, name, password, visitor }: Claim, attempt: Attempt): Promise<Refused | undefined> {
    if (account === undefined) this.passwords.remember(name, false)
    else {
      const leave = this.#guard.attend(visitor, () => attempt.stop(throttled()))
      try {
        const isRight = await this.passwords.judge(name, account, password, attempt)
        if (attempt.refused !== undefined) return attempt.refused
        this.#refusals.observe(this.#settings.now() - attempt.startedAt)
        if (isRight) {
          this.rehasher.consider(account, password)
          return undefined
        }
      } catch (error) {
        return attempt.refused ?? this.#unjudged(error)
      } finally {
        leave()
      }
    }
    return (await this.#guard.failed(visitor)) ? throttled() : wrongPassword(account)
  }

  #unjudged(error: unknown): Refused {
    if (error instanceof HashBusy) return new Refused('busy', error.message)
    if (error instanceof HashTimeout) return new Refused('deadline', error.message)
    this.#emitter.error(error, 'password hasher')
    return new Refused('busy', 'password not judged')
  }

  #admitAnonymous<T>(attempt: Attempt, admit: Admission<T>): T | Refused {
    const { anonymous } = this.#settings
    if (anonymous === undefined) return new Refused('anonymous_refused')
    const snapshot = { account: undefined, compiled: anonymous, readAt: 0, epoch: { heardUntil: 0 } }
    return this.#admit(snapshot, attempt, admit)
  }

  #admit<T>(snapshot: Snapshot, attempt: Attempt, admit: Admission<T>): T | Refused {
    if (attempt.refused !== undefined) return attempt.refused
    const { will } = attempt.request
    if (will !== undefined && will !== null) {
      const { topic, ...facts } = will
      const decision = snapshot.compiled.authorizePublish(attempt.checked.principal, topic, facts)
      if (!decision.allow) return new Refused(decision, 'will', topic)
    }
    return admit(snapshot, attempt)
  }

  /** Waits for the moment at which every refused login is told, so that its time does not tell why. */
  async #holdBack({ startedAt, stopped }: Attempt): Promise<void> {
    const delayMs = this.#refusals.delayFor(startedAt)
    if (delayMs <= 0) return
    let timer: NodeJS.Timeout | undefined
    const moment = new Promise<void>(resolve => {
      timer = setTimeout(resolve, delayMs)
    })
    await Promise.race([stopped, moment])
    clearTimeout(timer)
  }
}

function snapshotOf({ readAt, epoch }: Known, account: Account): Snapshot {
  return { account, compiled: account.compiled, readAt, epoch }
}

function wrongPassword(account: Account | undefined): Refused {
  return new Refused('bad_credentials', account === undefined ? 'no record' : 'wrong password')
}

function throttled(): Refused {
  return new Refused('throttled', 'password not judged')
}
