import type { Authorizer } from '../authorizer/types.js'
import { createEndpoint, type EndpointRequest, type EndpointResponse, readJson } from '../endpoint/index.js'
import { HookRequestInvalid } from '../errors.js'
import { tellFault, warnOnce } from '../faults.js'
import { resolveWebhookOptions, type WebhookOptions } from './options.js'
import { malformed } from './reply.js'
import type { WebhookHandler } from './types.js'
import { Webhooks } from './webhooks.js'

/**
 * Makes an endpoint for VerneMQ's `vmq_webhooks` out of an authorizer: VerneMQ asks at every CONNECT, PUBLISH and
 * SUBSCRIBE, and what the records say counts at once.
 *
 * All 22 hooks are answered, in shapes that VerneMQ 2.1 and 2.2 take. Only six decide: `auth_on_register`,
 * `auth_on_publish`, `auth_on_subscribe`, and the same with `_m5`. Register those, and `on_unsubscribe[_m5]` if rules
 * rewrite filters; leave out all others: VerneMQ waits for the answer to each, and `on_publish` and `on_deliver` cost
 * it more than the decisions do.
 *
 * > [!WARNING]
 * > VerneMQ's webhooks carry passwords, and whoever may ask can try them. Bind to loopback or a private network, and
 * > set `pathSecret`, `basic` or `clientCertificate`.
 *
 * Every fault is a refusal: what is no request of VerneMQ's gets status 400, and VerneMQ refuses its client on anything
 * but 200. Each refusal is a `denied` event of the authorizer, whose `detail` opens with the name of the hook.
 *
 * Exported from `mqtt-warden/vernemq`.
 *
 * @example
 * ```ts
 * const authorizer = createAuthorizer({ store: createRedisStore('redis://127.0.0.1') })
 * authorizer.on('denied', event => console.warn(describeDenial(event)))
 * const webhooks = createWebhookHandler(authorizer, { pathSecret: process.env.WEBHOOK_SECRET })
 * createEndpointServer(webhooks).listen(8081, '127.0.0.1')
 * // vernemq.conf: vmq_webhooks.register.endpoint = http://127.0.0.1:8081/<secret>
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createWebhookHandler(authorizer: Authorizer, options: WebhookOptions = {}): WebhookHandler {
  const webhooks = new Webhooks(authorizer, resolveWebhookOptions(options))
  const onError = options.onError ?? warnOnce('vernemq', 'onError')

  const fault = (error: unknown): EndpointResponse => {
    tellFault('vernemq', 'onError', () => onError(error, 'webhook'))
    return error instanceof HookRequestInvalid
      ? malformed(400, error.code, error.message)
      : malformed(500, 'ERR_WARDEN', 'the request could not be answered')
  }

  const answer = (
    hook: string,
    body: unknown,
    caller?: EndpointRequest,
  ): EndpointResponse | Promise<EndpointResponse> => {
    try {
      const response = webhooks.answer(hook, body, caller)
      return response instanceof Promise ? response.catch(fault) : response
    } catch (error) {
      return fault(error)
    }
  }

  const respond = (request: EndpointRequest): EndpointResponse | Promise<EndpointResponse> => {
    if (request.method !== 'POST') {
      const { body, headers } = fault(new HookRequestInvalid('webhook', '', 'is asked with another method than POST'))
      return { status: 405, headers: { ...headers, allow: 'POST' }, body }
    }
    const hook = request.header('vernemq-hook')
    if (hook === undefined) return fault(new HookRequestInvalid('webhook', '', 'the header vernemq-hook is missing'))
    const json = readJson(request)
    if ('value' in json) return answer(hook, json.value, request)
    return fault(new HookRequestInvalid(hook, '', json.problem))
  }

  return {
    handle: async (hook, body) => answer(hook, body),
    respond,
    ...createEndpoint(respond, { ...options, onError: (error, place) => onError(error, `vernemq ${place}`) }),
  }
}
