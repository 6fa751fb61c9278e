import { createServer, type Server, type ServerOptions } from 'node:http'
import { createServer as createTlsServer, type ServerOptions as TlsServerOptions } from 'node:https'
import { checkNames, integerOption } from '../options.js'
import { ENDPOINT_DEFAULTS } from './options.js'
import type { Endpoint } from './types.js'

/** Options of {@link createEndpointServer}. */
export interface EndpointServerOptions {
  /** Key, certificate and the like for `node:https`; with `ca`, `requestCert: true` and the endpoint's
   * `clientCertificate` only clients with a certificate may ask. Left out, the server speaks plain HTTP. */
  readonly tls?: TlsServerOptions
  /** As the option of the endpoint, in milliseconds, 1,000 to 3,600,000. @default 75_000 */
  readonly keepAliveMs?: number
  /**
   * Most connections at the same time; further ones are closed at once. VerneMQ opens up to 100 per node and endpoint
   * URL. 1 to 1,000,000.
   *
   * @default 10_000
   */
  readonly maxConnections?: number
}

const NAMES: ReadonlySet<string> = new Set(['tls', 'keepAliveMs', 'maxConnections'])

/**
 * Largest request head, in bytes. Those of all brokers served are far below, unless they ask by GET about a client whose
 * names are long: such a one gets 431.
 */
const MAX_HEADER_BYTES = 16_384

/**
 * Makes a server of `node:http` or `node:https` with the limits an endpoint of a broker needs: idle connections are
 * kept for 75 s, slow heads are cut a little later, heads are at most 16 KiB. It does not listen yet: call
 * `server.listen(port, '127.0.0.1')`, and bind to another address only with a secret or a client certificate.
 *
 * `server.close()` stops it gracefully: it takes no new connection, closes idle ones and lets requests finish.
 *
 * @throws TypeError for a bad option.
 */
export function createEndpointServer(endpoint: Pick<Endpoint, 'node'>, options: EndpointServerOptions = {}): Server {
  checkNames(options, NAMES, 'createEndpointServer')
  const keepAliveTimeout = integerOption(options, 'keepAliveMs', ENDPOINT_DEFAULTS.keepAliveMs)
  const maxConnections = integerOption(options, 'maxConnections', { fallback: 10_000, min: 1, max: 1_000_000 })
  // Node wants the time for the whole request to be no shorter than that for its head; the endpoint times bodies
  // itself.
  const headersTimeout = keepAliveTimeout + 5_000
  const http: ServerOptions = {
    keepAliveTimeout,
    headersTimeout,
    requestTimeout: headersTimeout,
    maxHeaderSize: MAX_HEADER_BYTES,
    noDelay: true,
  }
  const server =
    options.tls === undefined
      ? createServer(http, endpoint.node)
      : createTlsServer({ ...options.tls, ...http }, endpoint.node)
  server.maxConnections = maxConnections
  return server as Server
}
