export { createAuthorizer } from './authorizer.js'
export { describeDenial } from './describe.js'
export { AUTHORIZER_DEFAULTS, type AuthorizerOptions } from './options.js'
export type {
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
  RevokeCause,
  RevokedEvent,
  Session,
  SessionChange,
  TakeoverEvent,
  WillFacts,
} from './types.js'
