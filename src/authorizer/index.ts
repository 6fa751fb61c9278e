export { createAuthorizer } from './authorizer.js'
export { describeDenial } from './describe.js'
export { AUTHORIZER_DEFAULTS, type AuthorizerOptions } from './options.js'
export type {
  Access,
  AccessGranted,
  AccessRefused,
  AccessRequest,
  Authenticated,
  Authorizer,
  AuthorizerEvents,
  AuthorizerStats,
  ChangedEvent,
  ConnectRequest,
  DeniedEvent,
  ErrorEvent,
  EventBase,
  Freshness,
  LinkEvent,
  LinkFreshness,
  Refusal,
  RevokeCause,
  RevokedEvent,
  Session,
  SessionChange,
  TakeoverEvent,
  WillFacts,
} from './types.js'
