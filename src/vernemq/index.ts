/**
 * VerneMQ: an endpoint for its webhooks, a client of its HTTP administration, and what carries changes of records to
 * its live sessions.
 *
 * @module
 */
export {
  createEndpointServer,
  type Endpoint,
  type EndpointAccess,
  type EndpointFailure,
  type EndpointOptions,
  type EndpointRequest,
  type EndpointResponse,
  type EndpointServerOptions,
  type Respond,
} from '../endpoint/index.js'
export { HookRequestInvalid, VernemqAdminFailed } from '../errors.js'
export { createVernemqAdmin, type VernemqAdminOptions } from './admin.js'
export { enforceOnVernemq } from './enforcement.js'
export type { EnforcementOptions } from './enforcement-options.js'
export { createWebhookHandler } from './handler.js'
export type { WebhookOptions } from './options.js'
export { createRedisPeers, type EnforcementPeers, type RedisPeersClient } from './peers.js'
export type {
  EnforcementFault,
  VernemqAdmin,
  VernemqClient,
  VernemqEnforcement,
  VernemqFreshness,
  VernemqNodeState,
  VernemqSession,
  WebhookHandler,
} from './types.js'
