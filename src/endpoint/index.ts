/**
 * HTTP faces that the adapters for brokers out of process share. Internal: the adapters re-export what their users
 * need.
 *
 * @module
 */
export { parseQuery, type ReadBody, readForm, readJson, readText } from './body.js'
export { createEndpoint } from './endpoint.js'
export { ENDPOINT_DEFAULTS, ENDPOINT_OPTION_NAMES } from './options.js'
export { routeByPrefix } from './route.js'
export { createEndpointServer, type EndpointServerOptions } from './server.js'
export type {
  Endpoint,
  EndpointAccess,
  EndpointFailure,
  EndpointOptions,
  EndpointRequest,
  EndpointResponse,
  Respond,
} from './types.js'
