/**
 * Endpoints for brokers that ask over HTTP: EMQX, RabbitMQ, mosquitto-go-auth and NanoMQ.
 *
 * @module
 */
export {
  createEndpointServer,
  type Endpoint,
  type EndpointAccess,
  type EndpointOptions,
  type EndpointRequest,
  type EndpointResponse,
  type EndpointServerOptions,
  type Respond,
  routeByPrefix,
} from '../endpoint/index.js'
export { createEmqxHandler, type EmqxField, type EmqxOptions } from './emqx.js'
export { createGoAuthHandler, type GoAuthOptions } from './go-auth.js'
export { createNanomqHandler, type NanomqField, type NanomqOptions } from './nanomq.js'
export { createRabbitmqHandler, type RabbitmqOptions } from './rabbitmq.js'
export type { HttpHandler, HttpHandlerOptions } from './types.js'
