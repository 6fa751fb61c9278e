import type { EndpointRequest, Respond } from './types.js'

/**
 * Sends requests to the {@link Respond} whose prefix their path begins with, at a level boundary; the prefix is taken
 * off the path. The longest prefix that fits wins; without one the answer is 404.
 *
 * @param routes By prefix, e.g. `'/vernemq'`: begins with `/` and does not end with it.
 * @throws TypeError for a prefix of another form.
 */
export function routeByPrefix(routes: Readonly<Record<string, Respond>>): Respond {
  const ordered = Object.entries(routes).sort(([a], [b]) => b.length - a.length)
  for (const [prefix] of ordered) {
    if (!/^(\/[^/?#]+)+$/.test(prefix)) throw new TypeError(`"routes" argument: ${JSON.stringify(prefix)} is no prefix`)
  }
  return request => {
    for (const [prefix, respond] of ordered) {
      if (request.path === prefix || request.path.startsWith(`${prefix}/`)) {
        return respond(withPath(request, request.path.slice(prefix.length) || '/'))
      }
    }
    return { status: 404, headers: { 'content-type': 'application/json' }, body: '{"error":"no such path"}' }
  }
}

/** The request with another path; all else, made on first use included, is still the request's own. */
function withPath(request: EndpointRequest, path: string): EndpointRequest {
  return {
    method: request.method,
    path,
    query: request.query,
    header: name => request.header(name),
    body: request.body,
    ...(request.parsed !== undefined && { parsed: request.parsed }),
    get address() {
      return request.address
    },
    get signal() {
      return request.signal
    },
  }
}
