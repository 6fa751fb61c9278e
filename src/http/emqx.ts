import type { Qos } from '../acl/types.js'
import type { Access, Authorizer } from '../authorizer/types.js'
import type { EndpointResponse } from '../endpoint/index.js'
import { booleanOption } from '../options.js'
import { emqxRules } from './emqx-acl.js'
import { type Fields, readCaller } from './fields.js'
import { createHttpHandler, reply } from './handler.js'
import { type Caller, Judge } from './judge.js'
import { fieldNames, oneOf, resolveHttpOptions } from './options.js'
import type { HttpHandler, HttpHandlerOptions } from './types.js'

/** Request fields of EMQX, whose names its operator chooses in the body template. */
export type EmqxField = 'clientId' | 'username' | 'password' | 'address' | 'topic' | 'action' | 'qos' | 'retain'

/** Options of {@link createEmqxHandler}. */
export interface EmqxOptions extends HttpHandlerOptions {
  /**
   * Names of the fields, as the templates of EMQX have them.
   *
   * @default `clientid`, `username`, `password`, `peerhost`, `topic`, `action`, `qos`, `retain`
   */
  readonly fields?: Readonly<Partial<Record<EmqxField, string>>>
  /**
   * How a refusal is told. `ignore` leaves the client to the next authenticator or source of EMQX, which may let it
   * through; for requests that are none, `deny` stays.
   *
   * @default 'deny'
   */
  readonly onDenied?: 'deny' | 'ignore'
  /**
   * Whether the answer to a login brings rules that EMQX (5.8 and later) applies without asking. They allow no more
   * than the record does, and what they do not allow EMQX still asks for; but they live as long as the connection, so
   * that a right taken away survives in them. Needs a store of `strict` semantics.
   *
   * @default false
   */
  readonly includeAcl?: boolean
}

const FIELDS: Readonly<Record<EmqxField, string>> = {
  clientId: 'clientid',
  username: 'username',
  password: 'password',
  address: 'peerhost',
  topic: 'topic',
  action: 'action',
  qos: 'qos',
  retain: 'retain',
}

/** By the text of `${action}`, and of the older `${access}`. */
const ACTIONS = { publish: 'publish', subscribe: 'subscribe', 1: 'subscribe', 2: 'publish' } as const
const QOS: Readonly<Record<string, Qos>> = { 0: 0, 1: 1, 2: 2 }
const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false, 1: true, 0: false }

const json = (value: object): EndpointResponse => reply(200, JSON.stringify(value), 'application/json')
const ALLOW = json({ result: 'allow' })
const DENY = json({ result: 'deny' })
const IGNORE = json({ result: 'ignore' })

/** EMQX takes a later moment for milliseconds, and refuses the login. */
const MAX_EXPIRE_AT = 99_999_999_999

/**
 * Makes an endpoint for the HTTP authenticator and the HTTP authorizer of EMQX 5: `…/authentication` and
 * `…/authorization`, by POST with JSON or a form, or by GET. Prefer POST: names of a client that do not fit into the head
 * of a GET get status 431 of the server, before the endpoint hears of it, and EMQX goes on to its next source.
 *
 * Every answer has status 200: from any other EMQX concludes that nobody knows, goes on to its next source and in the
 * end may allow. A refusal is `{"result":"deny"}`, and so is a request that cannot be read, or that came without the
 * secret. Nobody is a superuser. A record that ends brings `expire_at`, when EMQX cuts the session.
 *
 * Changes of a record count at the next question. EMQX keeps answers in its authorization cache; switch that off
 * (`authorization.cache.enable = false`), or rights survive for its `ttl`.
 *
 * Exported from `mqtt-warden/http`.
 *
 * @example
 * ```ts
 * const emqx = createEmqxHandler(authorizer, { pathSecret: process.env.SECRET })
 * createEndpointServer(emqx).listen(8081, '127.0.0.1')
 * // authentication: url = "http://127.0.0.1:8081/<secret>/authentication"
 * // authorization:  url = "http://127.0.0.1:8081/<secret>/authorization"
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createEmqxHandler(authorizer: Authorizer, options: EmqxOptions = {}): HttpHandler {
  const settings = resolveHttpOptions(options, ['fields', 'onDenied', 'includeAcl'], 'createEmqxHandler')
  const names = fieldNames(options.fields, FIELDS)
  const refused = oneOf(options.onDenied, 'onDenied', ['deny', 'ignore']) === 'deny' ? DENY : IGNORE
  const includeAcl = booleanOption(options, 'includeAcl', false)
  if (includeAcl && authorizer.semantics !== 'strict') {
    throw new TypeError('"includeAcl" option needs a store of strict semantics')
  }
  const judge = new Judge(authorizer, settings)

  const callerOf = (fields: Fields): Caller => readCaller(fields, names, settings.mountpoint)

  return createHttpHandler(
    {
      broker: 'emqx',
      fail: () => DENY,
      calls: {
        async authentication(fields, via, signal) {
          const password = fields.optionalText(names.password) ?? ''
          const outcome = await judge.login(via, callerOf(fields), password, signal)
          return outcome.allow ? grantedLogin(outcome.access, includeAcl) : refused
        },
        async authorization(fields, via) {
          const caller = callerOf(fields)
          const action = fields.choice(names.action, ACTIONS)
          const topic = fields.text(names.topic)
          const qos = fields.optionalChoice(names.qos, QOS)
          const decision =
            action === 'publish'
              ? await judge.decide(via, caller, {
                  action,
                  topic,
                  qos,
                  retain: fields.optionalChoice(names.retain, FLAGS),
                })
              : await judge.decide(via, caller, { action, filter: topic, qos })
          return decision.allow ? ALLOW : refused
        },
      },
    },
    options,
  )
}

function grantedLogin(access: Access, includeAcl: boolean): EndpointResponse {
  const expireAt = Math.floor((Date.now() + access.leftMs) / 1_000)
  return json({
    result: 'allow',
    is_superuser: false,
    ...(expireAt <= MAX_EXPIRE_AT && { expire_at: expireAt }),
    ...(includeAcl && { acl: emqxRules(access) }),
  })
}
