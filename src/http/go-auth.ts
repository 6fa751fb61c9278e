import type { Denied } from '../acl/types.js'
import type { Authorizer } from '../authorizer/types.js'
import type { EndpointResponse } from '../endpoint/index.js'
import type { Fields } from './fields.js'
import { createHttpHandler, reply } from './handler.js'
import { type Caller, isFault, Judge, type Question } from './judge.js'
import { oneOf, resolveHttpOptions } from './options.js'
import type { HttpHandler, HttpHandlerOptions } from './types.js'

/** Options of {@link createGoAuthHandler}. */
export interface GoAuthOptions extends HttpHandlerOptions {
  /**
   * `http_response_mode` of the plugin. The status alone says the same in every mode, so that a plugin with another
   * mode may refuse what is granted, and never grants what is refused.
   *
   * @default 'status'
   */
  readonly responseMode?: 'status' | 'json' | 'text'
}

/** Questions of `aclcheck`, by the value of `acc`. */
const ACCESS: Readonly<Record<string, (topic: string) => readonly Question[]>> = {
  1: topic => [{ action: 'receive', topic }],
  2: topic => [{ action: 'publish', topic }],
  3: topic => [
    { action: 'receive', topic },
    { action: 'publish', topic },
  ],
  4: filter => [{ action: 'subscribe', filter }],
  // UNSUBSCRIBE: holding on to a subscription protects nothing.
  8: () => [],
}

/**
 * Makes an endpoint for the HTTP backend of mosquitto-go-auth: `…/getuser`, `…/superuser` and `…/aclcheck`, with JSON
 * or a form, by any of its methods.
 *
 * What is granted gets status 200, what is refused 403, and what is no request of the plugin's 400. The plugin takes
 * every 4xx for a refusal and caches it. What could not be decided, because the store cannot be asked or too many
 * logins are waiting, gets 503: the plugin refuses too, but does not remember it. Nobody is a superuser.
 *
 * Messages are judged once more before they are delivered (`acc` 1). The plugin tells no QoS and no retain flag: see
 * `unknownFacts`. With its cache (`auth_opt_cache`) rights survive for `auth_opt_acl_cache_seconds`: leave it off, or
 * short.
 *
 * Exported from `mqtt-warden/http`.
 *
 * @example
 * ```ts
 * const goAuth = createGoAuthHandler(authorizer, { pathSecret: process.env.SECRET })
 * createEndpointServer(goAuth).listen(8081, '127.0.0.1')
 * // mosquitto.conf: auth_opt_http_getuser_uri /<secret>/getuser, and so on
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createGoAuthHandler(authorizer: Authorizer, options: GoAuthOptions = {}): HttpHandler {
  const settings = resolveHttpOptions(options, ['responseMode'], 'createGoAuthHandler')
  const say = sayer(oneOf(options.responseMode, 'responseMode', ['status', 'json', 'text']))
  const judge = new Judge(authorizer, settings)
  const granted = say(200)
  const refuse = (refused: Denied): EndpointResponse => say(isFault(refused) ? 503 : 403)

  const callerOf = (fields: Fields): Caller => ({
    mountpoint: settings.mountpoint,
    clientId: fields.text('clientid'),
    username: fields.text('username'),
  })

  return createHttpHandler(
    {
      broker: 'goauth',
      // A body that came too late is no refusal to be remembered.
      fail: status => say(status === 408 ? 503 : status),
      calls: {
        async getuser(fields, via, signal) {
          const outcome = await judge.login(via, callerOf(fields), fields.text('password'), signal)
          return outcome.allow ? granted : refuse(outcome)
        },
        superuser: async () => say(403),
        async aclcheck(fields, via) {
          const questions = fields.choice('acc', ACCESS)(fields.text('topic'))
          const refused = await judge.firstRefusal(via, callerOf(fields), questions)
          return refused === undefined ? granted : refuse(refused)
        },
      },
    },
    options,
  )
}

/** Words an answer as the plugin is told to read it. */
function sayer(mode: 'status' | 'json' | 'text'): (status: number) => EndpointResponse {
  return status => {
    const isGranted = status === 200
    if (mode === 'json') {
      const body = { ok: isGranted, error: isGranted ? '' : 'refused' }
      return reply(status, JSON.stringify(body), 'application/json')
    }
    return reply(status, isGranted ? 'ok' : 'refused')
  }
}
