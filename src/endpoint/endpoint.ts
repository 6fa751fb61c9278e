import { EndpointCore } from './core.js'
import { fetchFace } from './fetch-face.js'
import { NodeExchange } from './node-face.js'
import { resolveEndpointOptions } from './options.js'
import type { Endpoint, EndpointOptions, Respond } from './types.js'

/**
 * Puts the two faces of an HTTP endpoint, `node` and `fetch`, on one pure function from request to response.
 *
 * The faces do what every endpoint needs, so that an adapter holds nothing but its contract: they check who asks, read
 * the body within limits of size and time, hand over one plain object, and send what comes back. The adapter sees no
 * socket and no stream, and is tested by calling it.
 *
 * @example
 * ```ts
 * const respond: Respond = async request => {
 *   if (request.method !== 'POST') return { status: 405, headers: { allow: 'POST' }, body: '' }
 *   const json = readJson(request) // or readForm(request), parseQuery(request.query), readText(request)
 *   if ('problem' in json) return { status: 400, headers: {}, body: json.problem }
 *   return { status: 200, headers: { 'content-type': 'application/json' }, body: '{"result":"ok"}' }
 * }
 * const endpoint = createEndpoint(respond, { pathSecret: process.env.SECRET })
 * createEndpointServer(endpoint).listen(8081, '127.0.0.1')
 *
 * // Several adapters behind one port, one gate and one set of limits:
 * createEndpoint(routeByPrefix({ '/vernemq': webhooks.respond, '/emqx': emqx.respond }), { pathSecret })
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createEndpoint(respond: Respond, options: EndpointOptions = {}): Endpoint {
  const core = new EndpointCore(respond, resolveEndpointOptions(options))
  return {
    node: (req, res) => new NodeExchange(core, req, res).run(),
    fetch: request => fetchFace(core, request),
  }
}
