import type { Action, Denied, Principal } from '../acl/types.js'
import type { RevokeCause, Session, SessionChange } from './types.js'

/** Common to all events: when, and who. */
export interface EventBase {
  /** Unix milliseconds. */
  readonly at: number
  readonly principal: Principal
  readonly session?: Session
  readonly action?: Action
}

/** A request was refused. */
export interface DeniedEvent extends EventBase {
  readonly action: Action
  /** Topic name of a refused publish, receive or will. */
  readonly topic?: string
  /** Topic filter of a refused subscribe. */
  readonly filter?: string
  readonly address?: string
  readonly decision: Denied
  /**
   * What the client is not told: e.g. `no record`, `wrong password` (both `bad_credentials`), or what is wrong with the
   * record.
   */
  readonly detail?: string
  /** Refusals of this session that were not reported since the last that was. */
  readonly suppressed: number
}

/** A session was ended. */
export interface RevokedEvent extends EventBase {
  readonly session: Session
  readonly cause: RevokeCause
}

/** The rules of a session were replaced. */
export interface ChangedEvent extends EventBase, SessionChange {
  readonly session: Session
}

/**
 * A client id changed hands: the same account connected twice, on one node or on two, or an exact record displaced a
 * `*` one. The node that the client id went to tells it.
 */
export interface TakeoverEvent extends EventBase {
  /** Who held the client id. Another one than `principal` where a record of this client id displaced one of `*`. */
  readonly former: Principal
  /** The session that lost the client id; left out when it was on another node. */
  readonly from?: Session
  readonly to: Session
  readonly addresses: readonly [from: string | undefined, to: string | undefined]
  /** Ids of the nodes, as in `store.nodes()`; `undefined` where a store or an older node does not tell. */
  readonly nodes: readonly [from: string | undefined, to: string | undefined]
}

/**
 * Something comes again and again: the same account is connected twice and evicts itself (`takeover`), or a client
 * comes back with the same request that is refused each time (`refusal`).
 *
 * Told when it was counted as often as `loopThreshold` says, then once per `loopWindowMs` for as long as it goes on.
 * Nodes over one store count together, and one of them tells. The single `takeover` events, and the `denied` ones of
 * publishes and subscriptions, are left out meanwhile.
 */
export interface LoopEvent extends EventBase {
  readonly kind: 'takeover' | 'refusal'
  /** How often it happened, from the first time on. */
  readonly count: number
  /** Milliseconds from the first time to the last. */
  readonly sinceMs: number
  /** Where the clients came from, the latest last; at most eight. */
  readonly addresses: readonly string[]
  /** Topic name of a publish that is refused. */
  readonly topic?: string
  /** Topic filter of a subscription that is refused. */
  readonly filter?: string
  /** Of a `refusal`. */
  readonly decision?: Denied
}

/** The store began or ceased to hear changes. */
export interface LinkEvent {
  readonly at: number
  readonly state: 'live' | 'blind'
}

/** Something failed; the requests concerned were refused, or answered from what is still trusted. */
export interface ErrorEvent {
  readonly at: number
  readonly error: unknown
  /** Where, e.g. `login of ["","1528361231","101"]`. */
  readonly place: string
  /** Errors that were not reported since the last that was: after twenty at once, one a second is. */
  readonly suppressed: number
}

/** Events of an authorizer, by name. */
export interface AuthorizerEvents {
  denied: DeniedEvent
  revoked: RevokedEvent
  changed: ChangedEvent
  takeover: TakeoverEvent
  loop: LoopEvent
  link: LinkEvent
  error: ErrorEvent
}
