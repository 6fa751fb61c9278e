import type { Denied } from '../acl/types.js'
import type { Authorizer } from '../authorizer/types.js'
import type { EndpointResponse } from '../endpoint/index.js'
import { type Fields, readCaller } from './fields.js'
import { createHttpHandler, reply } from './handler.js'
import { type Caller, isFault, Judge, type Question } from './judge.js'
import { fieldNames, resolveHttpOptions } from './options.js'
import type { HttpHandler, HttpHandlerOptions } from './types.js'

/** Request fields of NanoMQ, whose names its operator chooses in `params`. */
export type NanomqField = 'clientId' | 'username' | 'password' | 'address' | 'access' | 'topic'

/** Options of {@link createNanomqHandler}. */
export interface NanomqOptions extends HttpHandlerOptions {
  /**
   * Names of the fields, as `params` of NanoMQ has them.
   *
   * @default `clientid`, `username`, `password`, `ipaddr`, `access`, `topic`
   */
  readonly fields?: Readonly<Partial<Record<NanomqField, string>>>
}

const FIELDS: Readonly<Record<NanomqField, string>> = {
  clientId: 'clientid',
  username: 'username',
  password: 'password',
  address: 'ipaddr',
  access: 'access',
  topic: 'topic',
}

/** By the value of `%A`. */
const ACTIONS = { 1: 'subscribe', 2: 'publish' } as const

const GRANTED = reply(200, 'allow')

/**
 * Makes an endpoint for `http_auth` of NanoMQ: `…/auth`, `…/super` and `…/acl`, by POST with a form or JSON, or by GET.
 *
 * The status says it all: 200 grants, everything else refuses (403 not allowed, 400 no request of NanoMQ's, 503 could
 * not be decided). Nobody is a superuser.
 *
 * NanoMQ joins the filters of a SUBSCRIBE with commas; all of them must be allowed. A comma of the client's own cannot
 * be told from one of NanoMQ's, so publishing to a name with a comma is refused: then no subscription can catch a
 * message that none of its parts was allowed to. NanoMQ tells no QoS and no retain flag: see `unknownFacts`.
 *
 * Exported from `mqtt-warden/http`.
 *
 * @example
 * ```ts
 * const nanomq = createNanomqHandler(authorizer, { pathSecret: process.env.SECRET })
 * createEndpointServer(nanomq).listen(8081, '127.0.0.1')
 * // nanomq.conf: auth_req { url = "http://127.0.0.1:8081/<secret>/auth" … }
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createNanomqHandler(authorizer: Authorizer, options: NanomqOptions = {}): HttpHandler {
  const settings = resolveHttpOptions(options, ['fields'], 'createNanomqHandler')
  const names = fieldNames(options.fields, FIELDS)
  const judge = new Judge(authorizer, settings)

  const callerOf = (fields: Fields): Caller => readCaller(fields, names, settings.mountpoint)

  return createHttpHandler(
    {
      broker: 'nanomq',
      fail: refusal,
      calls: {
        async auth(fields, via, signal) {
          const password = fields.optionalText(names.password) ?? ''
          const outcome = await judge.login(via, callerOf(fields), password, signal)
          return outcome.allow ? GRANTED : refuse(outcome)
        },
        super: async () => refusal(403),
        async acl(fields, via) {
          const action = fields.choice(names.access, ACTIONS)
          const topic = fields.text(names.topic)
          const caller = callerOf(fields)
          if (action === 'publish' && topic.includes(',')) {
            const detail = 'a comma separates the filters of a SUBSCRIBE'
            return refuse(judge.refuse(via, caller, action, topic, { allow: false, reason: 'topic_invalid', detail }))
          }
          const questions: Question[] =
            action === 'publish' ? [{ action, topic }] : fields.joined(names.topic).map(filter => ({ action, filter }))
          const refused = await judge.firstRefusal(via, caller, questions)
          return refused === undefined ? GRANTED : refuse(refused)
        },
      },
    },
    options,
  )
}

function refuse(refused: Denied): EndpointResponse {
  return refusal(isFault(refused) ? 503 : 403)
}

function refusal(status: number): EndpointResponse {
  return reply(status, 'deny')
}
