import type { CompiledAcl } from '../acl/compile.js'
import { filterMatchesTopic } from '../acl/match.js'
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
import type { Account } from './accounts.js'
import type { DenialReporter, DenialState } from './denials.js'
import type { Dependent } from './dependents.js'
import type { Resolution } from './resolver.js'
import type { Trust } from './trust.js'
import type { RevokeCause, Session, SessionChange } from './types.js'

/** What all sessions of an authorizer share. */
export interface SessionContext {
  readonly trust: Trust
  readonly denials: DenialReporter
  /** A record of the session was named: it must be read again. */
  named(session: LiveSession): void
  closed(session: LiveSession): void
}

/** The rules of a session and what vouches for them. An anonymous session has rules that nothing can change. */
export interface Snapshot {
  readonly account: Account | undefined
  readonly compiled: CompiledAcl
  readonly resolution: Resolution | undefined
}

const NEVER = Number.POSITIVE_INFINITY

export class LiveSession implements Session, Dependent {
  readonly principal: Principal
  readonly address: string | undefined
  readonly #context: SessionContext
  #account: Account | undefined
  #compiled: CompiledAcl
  #exactReadAt = NEVER
  /** When the older of the reads it rests on was sent. */
  #readAt = NEVER
  #epoch = 0
  /** Up to which moment the snapshot is known to hold, for one that was read in an earlier epoch. */
  #heldUntil = NEVER
  /** From when on everything is refused, because a change named the record and it was not read since. */
  #unreadFrom = NEVER
  #refusal: DenyReason | undefined
  #controller: AbortController | undefined
  #cause: RevokeCause | undefined
  #listeners: Set<(change: SessionChange) => void | Promise<void>> | undefined
  /** Rules whose modifiers wrote a filter for this session; what those filters match may be received. */
  #rewriters: Set<SubscribeRule> | undefined
  /** Kept for the reporter of denials, which limits their number. */
  denialState: DenialState | undefined
  /** Counts how often a record of the session was named, so that a reading can tell whether it is the latest. */
  namings = 0
  /** Whether its exact record was named and not read since. */
  isExactNamed = false

  constructor(principal: Principal, address: string | undefined, snapshot: Snapshot, context: SessionContext) {
    this.principal = principal
    this.address = address
    this.#context = context
    this.#account = snapshot.account
    this.#compiled = snapshot.compiled
    if (snapshot.resolution !== undefined) this.confirm(snapshot.resolution)
  }

  get recordKey(): RecordKey | undefined {
    return this.#account?.key
  }

  get account(): Account | undefined {
    return this.#account
  }

  get acl(): Acl {
    return this.#compiled.acl
  }

  get isEnded(): boolean {
    return this.#refusal === 'closed' || this.#refusal === 'revoked'
  }

  get revoked(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#cause !== undefined) this.#controller.abort(this.#cause)
    }
    return this.#controller.signal
  }

  authorizePublish(topic: string, facts?: PublishFacts): Decision {
    const refusal = this.#refusalNow()
    const decision =
      refusal === undefined ? this.#compiled.authorizePublish(this.principal, topic, facts) : denied(refusal)
    return decision.allow ? decision : this.#report('publish', topic, decision)
  }

  authorizeSubscribe(filter: string, facts?: SubscribeFacts): Decision {
    const refusal = this.#refusalNow()
    const decision =
      refusal === undefined ? this.#compiled.authorizeSubscribe(this.principal, filter, facts) : denied(refusal)
    if (!decision.allow) return this.#report('subscribe', filter, decision)
    const rule = decision.rule as SubscribeRule
    if (rule.modifiers !== undefined) {
      this.#rewriters ??= new Set()
      this.#rewriters.add(rule)
    }
    return decision
  }

  authorizeReceive(topic: string): Decision {
    const refusal = this.#refusalNow()
    const decision = refusal === undefined ? this.#compiled.authorizeReceive(this.principal, topic) : denied(refusal)
    if (decision.allow) return decision
    const rewriter = refusal === undefined ? this.#rewriterFor(topic) : undefined
    return rewriter === undefined ? this.#report('receive', topic, decision) : { allow: true, rule: rewriter }
  }

  refuse(action: Action, subject: string, reason: DenyReason): Denied {
    return this.#report(action, subject, denied(reason))
  }

  onChange(listener: (change: SessionChange) => void | Promise<void>): () => void {
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
    return () => void this.#listeners?.delete(listener)
  }

  close(): void {
    if (this.#refusal === 'closed') return
    const wasRevoked = this.#refusal === 'revoked'
    this.#end('closed')
    if (!wasRevoked) this.#context.closed(this)
  }

  /** Ends the session with a cause. Returns whether it was not ended before. */
  revoke(cause: RevokeCause): boolean {
    if (this.isEnded) return false
    this.#cause = cause
    this.#end('revoked')
    this.#context.closed(this)
    this.#controller?.abort(cause)
    return true
  }

  /** Holds up every decision, e.g. while the record is no record, until the next {@link replace}. */
  block(reason: DenyReason): void {
    if (this.isEnded) return
    this.#refusal = reason
    this.#unreadFrom = NEVER
  }

  /** Puts the rules of a newly read record in force and tells what changed, if anything did. */
  replace(account: Account, resolution: Resolution): SessionChange | undefined {
    const previous = this.acl
    const changed = account.compiled !== this.#compiled
    this.#account = account
    this.#compiled = account.compiled
    this.#refusal = undefined
    this.confirm(resolution)
    if (!changed) return undefined
    this.#rewriters = undefined
    return { session: this, previous, acl: account.compiled.acl }
  }

  /** The snapshot was found to be what the store holds. */
  confirm({ exactReadAt, readAt, epoch }: Resolution): void {
    this.#exactReadAt = exactReadAt
    this.#readAt = Math.min(exactReadAt, readAt)
    this.#epoch = epoch
    this.#heldUntil = this.#readAt
    this.#unreadFrom = NEVER
    this.isExactNamed = false
  }

  named(key: RecordKey): void {
    this.namings++
    if (key.clientId !== '*') this.isExactNamed = true
    const { trust } = this.#context
    this.#unreadFrom = Math.min(this.#unreadFrom, trust.now() + trust.limits.readTimeoutMs)
    this.#context.named(this)
  }

  /** An epoch ends: what the link has vouched for up to now is all it ever will. Called before the epoch changes. */
  settleEpoch(): void {
    this.namings++
    if (this.#account !== undefined) this.#heldUntil = this.#holdsUntil()
  }

  /** Since when the exact record is known to be absent, for a session that a `*` record decides; else `undefined`. */
  exactAbsentSince(now: number): { readAt: number; epoch: number } | undefined {
    if (this.#account?.key.clientId !== '*') return undefined
    if (!this.#context.trust.isFresh(this.#exactReadAt, this.#epoch, now)) return undefined
    return { readAt: this.#exactReadAt, epoch: this.#epoch }
  }

  /** Whether the record should be read again soon, so that decisions never have to wait or to refuse. */
  isDue(now: number): boolean {
    if (this.#account === undefined || this.isEnded) return false
    const { limits } = this.#context.trust
    if (this.#unreadFrom !== NEVER || this.#refusal !== undefined) return true
    if (now - this.#readAt > limits.maxAgeMs / 2) return true
    return now - this.#holdsUntil() > limits.staleWindowMs / 2
  }

  /** The moment the record itself ends. */
  get endsAt(): number {
    return this.#account?.endsAt ?? NEVER
  }

  async tell(change: SessionChange): Promise<void> {
    if (this.#listeners === undefined) return
    await Promise.all([...this.#listeners].map(async listener => listener(change)))
  }

  /** The check that keeps the bound: whatever timers and sweeps did or did not do, it is made at every decision. */
  #refusalNow(): DenyReason | undefined {
    if (this.#refusal !== undefined) return this.#refusal
    if (this.#account === undefined) return undefined
    const { trust } = this.#context
    const now = trust.now()
    if (now >= this.#account.endsAt) return 'expired'
    if (now >= this.#unreadFrom) return 'store_unavailable'
    if (now - this.#readAt > trust.limits.maxAgeMs) return 'store_unavailable'
    return now - this.#holdsUntil() > trust.graceMs ? 'store_unavailable' : undefined
  }

  #holdsUntil(): number {
    const { trust } = this.#context
    return this.#epoch === trust.epoch ? Math.max(this.#heldUntil, trust.liveAt) : this.#heldUntil
  }

  #rewriterFor(topic: string): SubscribeRule | undefined {
    if (this.#rewriters === undefined) return undefined
    for (const rule of this.#rewriters) {
      if (rule.modifiers?.some(({ filter, qos }) => qos !== 128 && filterMatchesTopic(filter, topic))) return rule
    }
    return undefined
  }

  #report(action: Action, subject: string, decision: Denied): Denied {
    this.#context.denials.ofSession(this, action, subject, decision)
    return decision
  }

  #end(refusal: 'closed' | 'revoked'): void {
    this.#refusal = refusal
    this.#listeners = undefined
    this.#rewriters = undefined
  }
}
