import type { CompiledAcl } from '../acl/compile.js'
import { denied } from '../acl/rule.js'
import type {
  Acl,
  Action,
  Decision,
  Denied,
  DenyReason,
  Principal,
  PublishFacts,
  SubscribeFacts,
  SubscribeRule,
} from '../acl/types.js'
import type { RecordKey } from '../record/types.js'
import type { ChangeEffects } from '../store/types.js'
import type { Account } from './accounts.js'
import { type AddressSource, addressFrom } from './address.js'
import type { Allowance } from './allowance.js'
import { Grants } from './grants.js'
import { appended, callAll, type Listeners, without } from './listener-list.js'
import type { Known } from './record-cache.js'
import type { Naming, SessionContext, Snapshot } from './session-context.js'
import type { Epoch, Notice } from './trust.js'
import type { RevokeCause, Session, SessionChange } from './types.js'

type ChangeListener = Parameters<Session['onChange']>[0]
type RevokeListener = Parameters<Session['onRevoked']>[0]

/** Of the few sessions whose signals are asked for. */
const controllers: WeakMap<LiveSession, AbortController> = new WeakMap()

const NEVER = Number.POSITIVE_INFINITY

export class LiveSession implements Session {
  readonly principal: Principal
  #address: AddressSource
  readonly #context: SessionContext
  #account: Account | undefined
  #compiled: CompiledAcl
  #readAt: number
  #epoch: Epoch
  /** What changes named since the records were read. */
  #naming: Naming | undefined
  #refusal: DenyReason | undefined
  #cause: RevokeCause | undefined
  #changeListeners: Listeners<ChangeListener>
  #revokeListeners: Listeners<RevokeListener>
  /** What the rules in force have allowed; made when they first do. */
  #grants: Grants | undefined
  /** Kept for the index: an older session of the same client id that is still open. */
  older: LiveSession | undefined
  /** Kept for the reporter of denials, which limits their number. */
  denials: Allowance | undefined
  /** Counts how often a record of the session was named, so that a reading can tell whether it is the latest. */
  namings = 0
  /** Kept for the index: whether it holds no client id yet. */
  isProvisional = true
  /** Kept for the sweep: which sessions are read again before others. */
  spread = 0

  constructor(principal: Principal, address: AddressSource, snapshot: Snapshot, context: SessionContext) {
    this.principal = principal
    this.#address = address
    this.#context = context
    this.#account = snapshot.account
    this.#compiled = snapshot.compiled
    this.#readAt = snapshot.readAt
    this.#epoch = snapshot.epoch
  }

  get address(): string | undefined {
    // Whatever the source keeps is let go of.
    this.#address = addressFrom(this.#address)
    return this.#address
  }

  get recordKey(): RecordKey | undefined {
    return this.#account?.key
  }

  get account(): Account | undefined {
    return this.#account
  }

  get leftMs(): number {
    return (this.#account?.endsAt ?? NEVER) - this.#context.trust.now()
  }

  get acl(): Acl {
    return this.#compiled.acl
  }

  get isEnded(): boolean {
    return this.#refusal === 'closed' || this.#refusal === 'revoked'
  }

  get revoked(): AbortSignal {
    let controller = controllers.get(this)
    if (controller === undefined) {
      controller = new AbortController()
      controllers.set(this, controller)
      if (this.#cause !== undefined) controller.abort(this.#cause)
    }
    return controller.signal
  }

  get revokeCause(): RevokeCause | undefined {
    return this.#cause
  }

  authorizePublish(topic: string, facts?: PublishFacts): Decision {
    const refusal = this.#refusalNow()
    if (refusal !== undefined) return this.#report('publish', topic, refusal)
    const granted = this.#grants?.publishing(topic, facts)
    if (granted !== undefined) return granted
    const decision = this.#compiled.authorizePublish(this.principal, topic, facts)
    if (!decision.allow) return this.#report('publish', topic, decision)
    this.#grants ??= new Grants()
    this.#grants.published(topic, decision, this.#compiled)
    return decision
  }

  authorizeSubscribe(filter: string, facts?: SubscribeFacts, detail?: string): Decision {
    const decision = this.#refusalNow() ?? this.#compiled.authorizeSubscribe(this.principal, filter, facts)
    if (!decision.allow) return this.#report('subscribe', filter, decision, detail)
    const rule = decision.rule as SubscribeRule
    if (rule.modifiers !== undefined) {
      this.#grants ??= new Grants()
      this.#grants.subscribed(rule)
    }
    return decision
  }

  authorizeReceive(topic: string): Decision {
    const refusal = this.#refusalNow()
    if (refusal !== undefined) return this.#report('receive', topic, refusal)
    const granted = this.#grants?.receiving(topic)
    if (granted !== undefined) return granted
    const decision = this.#compiled.authorizeReceive(this.principal, topic)
    if (!decision.allow) {
      const rewriter = this.#grants?.rewriterFor(topic)
      return rewriter === undefined ? this.#report('receive', topic, decision) : { allow: true, rule: rewriter }
    }
    this.#grants ??= new Grants()
    this.#grants.received(topic, decision)
    return decision
  }

  confirm(): boolean {
    return this.#context.confirm(this)
  }

  refuse(action: Action, subject: string, reason: DenyReason, detail?: string): Denied {
    return this.#report(action, subject, denied(reason), detail)
  }

  onChange(listener: ChangeListener): () => void {
    if (!this.isEnded) this.#changeListeners = appended(this.#changeListeners, listener)
    let isOff = false
    return () => {
      if (!isOff) this.#changeListeners = without(this.#changeListeners, listener)
      isOff = true
    }
  }

  onRevoked(listener: RevokeListener): () => void {
    if (this.#cause !== undefined) void this.#tellRevoked(listener, this.#cause)
    else if (!this.isEnded) this.#revokeListeners = appended(this.#revokeListeners, listener)
    let isOff = false
    return () => {
      if (!isOff) this.#revokeListeners = without(this.#revokeListeners, listener)
      isOff = true
    }
  }

  close(): void {
    if (this.#refusal === 'closed') return
    if (this.#refusal !== 'revoked') this.#context.closed(this)
    this.#end('closed')
  }

  /** Ends the session, which has not ended before, with a cause. Resolves with what the listeners did about it. */
  revoke(cause: RevokeCause): Promise<ChangeEffects> | undefined {
    const listeners = this.#revokeListeners
    this.#cause = cause
    this.#end('revoked')
    this.#context.closed(this)
    controllers.get(this)?.abort(cause)
    return this.#tellRevoked(listeners, cause)
  }

  /**
   * A change named one of its records. Returns whether that concerns it: what becomes of the `*` record does not matter
   * to a session that an exact one decides.
   */
  named({ clientId }: RecordKey, notice: Notice): boolean {
    const isExact = clientId !== '*'
    if (this.isEnded || (!isExact && this.recordKey?.clientId !== '*')) return false
    this.namings++
    const before = this.#naming
    const { trust } = this.#context
    this.#naming = {
      unreadFrom: Math.min(before?.unreadFrom ?? NEVER, trust.unreadFrom(this.#readAt, this.#epoch, notice)),
      isExact: isExact || before?.isExact === true,
    }
    return true
  }

  /** Holds up every decision until the next {@link replace}, since the record is none. Returns whether that is new. */
  block(known: Known): boolean {
    const isNew = this.#refusal === undefined
    this.#refusal = 'record_invalid'
    this.#confirm(known)
    return isNew
  }

  /** Puts the rules of a newly read record in force and tells what changed, if anything did. */
  replace(account: Account, known: Known): SessionChange | undefined {
    const previous = this.acl
    const changed = account.compiled !== this.#compiled
    this.#account = account
    this.#compiled = account.compiled
    this.#refusal = undefined
    this.#confirm(known)
    if (!changed) return undefined
    this.#grants = undefined
    return { session: this, previous, acl: account.compiled.acl }
  }

  /**
   * What is known of the exact record without asking: that there is none, for a session that the `*` record decides and
   * whose exact one nobody named. Spares thousands of look-ups when the record of a role changes.
   */
  exactAbsence(now: number, share: number): Known | undefined {
    if (this.#naming?.isExact || this.#refusal !== undefined || this.recordKey?.clientId !== '*') return undefined
    if (!this.#context.trust.isFresh(this.#readAt, this.#epoch, now, share)) return undefined
    return { account: undefined, readAt: this.#readAt, epoch: this.#epoch }
  }

  /** Whether the record has ended. */
  isOver(now: number): boolean {
    return this.#account !== undefined && now >= this.#account.endsAt
  }

  /**
   * Whether the record should be read again soon, so that decisions never have to wait or to refuse: when that part of
   * the time is over after which they would.
   */
  isDue(now: number, share: number): boolean {
    if (this.#account === undefined || this.isEnded) return false
    const { trust } = this.#context
    return now >= this.#askBy(share) || !trust.isFresh(this.#readAt, this.#epoch, now, share)
  }

  /** The moment up to which the session is neither over nor due, if from now on everything is heard. */
  quietUntil(share: number): number {
    if (this.#account === undefined || this.isEnded) return NEVER
    const { trust } = this.#context
    const freshUntil = trust.freshUntil(this.#readAt, this.#epoch, share)
    return Math.min(this.#account.endsAt, this.#askBy(share), freshUntil)
  }

  /** Calls the listeners for changes, if there are any. Resolves with what they did when all have finished. */
  tell(change: SessionChange): Promise<ChangeEffects> | undefined {
    return callAll(this.#changeListeners, listener => listener(change), this.#failing('onChange'))
  }

  /** The check that keeps the bound: whatever timers and sweeps did or did not do, it is made at every decision. */
  #refusalNow(): Denied | undefined {
    if (this.#refusal !== undefined) return denied(this.#refusal)
    if (this.#account === undefined) return undefined
    const { trust } = this.#context
    const { endsAt } = this.#account
    // Where nothing ends with time, as over a store that cannot become deaf, a decision need not ask what time it is.
    if (endsAt === NEVER && this.#naming === undefined && this.#epoch.heardUntil === NEVER) return undefined
    const now = trust.now()
    if (now >= endsAt) return denied('expired')
    const isRead = this.#naming === undefined || now < this.#naming.unreadFrom
    const isTrusted = isRead && trust.isInGrace(this.#readAt, this.#epoch, now)
    return isTrusted ? undefined : denied('store_unavailable')
  }

  #tellRevoked(listeners: Listeners<RevokeListener>, cause: RevokeCause): Promise<ChangeEffects> | undefined {
    return callAll(listeners, listener => listener(cause, this), this.#failing('onRevoked'))
  }

  #failing(name: string): (error: unknown) => string {
    const place = `listener of ${name}`
    return error => {
      this.#context.failed(error, place)
      return `a ${place} failed`
    }
  }

  /** When a named record that was not read should be read again. */
  #askBy(share: number): number {
    if (this.#naming === undefined) return NEVER
    return this.#naming.unreadFrom - this.#context.trust.limits.readTimeoutMs * (1 - share)
  }

  #confirm({ readAt, epoch }: Known): void {
    this.#readAt = readAt
    this.#epoch = epoch
    this.#naming = undefined
  }

  #report(action: Action, subject: string, decision: Denied, detail?: string): Denied {
    this.#context.denials.ofSession(this, { action, subject, decision, detail })
    return decision
  }

  #end(refusal: 'closed' | 'revoked'): void {
    this.#address = addressFrom(this.#address)
    this.#refusal = refusal
    this.#changeListeners = undefined
    this.#revokeListeners = undefined
    this.#grants = undefined
  }
}
