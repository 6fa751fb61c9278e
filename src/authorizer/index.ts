export { createAuthorizer } from './authorizer.js'
export { describeDenial, describeLoop, describeTakeover } from './describe.js'
export type {
  AuthorizerEvents,
  ChangedEvent,
  DeniedEvent,
  ErrorEvent,
  EventBase,
  LinkEvent,
  LoopEvent,
  RevokedEvent,
  TakeoverEvent,
} from './events.js'
export { AUTHORIZER_DEFAULTS, type AuthorizerOptions } from './options.js'
export type { RehashOptions } from './rehash-options.js'
export type { ThrottleLimits, ThrottleOptions } from './throttle-options.js'
export type {
  Access,
  AccessGranted,
  AccessRefused,
  AccessRequest,
  Authenticated,
  Authorizer,
  AuthorizerStats,
  ConnectRequest,
  FormerHolder,
  Freshness,
  LinkFreshness,
  Refusal,
  RevokeCause,
  Session,
  SessionChange,
  WillFacts,
} from './types.js'
