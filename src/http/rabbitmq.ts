import type { Authorizer } from '../authorizer/types.js'
import { createHttpHandler, reply } from './handler.js'
import { Judge } from './judge.js'
import { resolveHttpOptions } from './options.js'
import { RabbitmqCalls } from './rabbitmq-calls.js'
import type { HttpHandler, HttpHandlerOptions } from './types.js'

/** Options of {@link createRabbitmqHandler}. */
export interface RabbitmqOptions extends Omit<HttpHandlerOptions, 'mountpoint'> {
  /**
   * The virtual hosts that may be used, each with the mountpoint of its records. All others are refused.
   *
   * @default { '/': '' }
   */
  readonly vhosts?: Readonly<Record<string, string>>
  /**
   * The topic exchange of the MQTT plugin (`mqtt.exchange`). All others are refused.
   *
   * @default 'amq.topic'
   */
  readonly exchange?: string
  /**
   * Tags that every user gets. Tags such as `management` or `administrator` open the management interface to everybody
   * with a record; MQTT needs none.
   *
   * @default []
   */
  readonly tags?: readonly string[]
}

const ALLOW = reply(200, 'allow')
const DENY = reply(200, 'deny')

/** RabbitMQ takes QoS 2 for QoS 1. */
const LIMITS = { maxQos: 1 } as const

/**
 * Makes an endpoint for `rabbitmq_auth_backend_http` of a RabbitMQ with the MQTT plugin: `…/user`, `…/vhost`,
 * `…/resource` and `…/topic`, by GET or POST.
 *
 * A client gets what MQTT needs and nothing else: the topic exchange, the queues of its own client id, and the topics
 * of its record. A connection without a client id, AMQP and the management interface with it, is refused: records
 * belong to client ids. Answers are `allow` and `deny` without a reason, since RabbitMQ can be told to show it to
 * clients; what is no request of RabbitMQ's gets `deny` and status 400, which RabbitMQ logs and takes for a refusal.
 *
 * Topics reach the endpoint as routing keys, in which `.` stands for `/`. A `.` of the client's own is a level
 * separator for RabbitMQ as well, so topics are judged with `/` in its place, and a rule with a dot in its pattern fits
 * nothing. Publishing to a name with a `*` is refused: RabbitMQ would deliver it as `+`.
 *
 * RabbitMQ remembers the last 12 grants of a connection and asks nothing again once a queue is bound: a right taken
 * away ends for new topics and new connections. To end it at once, close the connection (`rabbitmqctl
 * close_all_user_connections`).
 *
 * Exported from `mqtt-warden/http`.
 *
 * @example
 * ```ts
 * const rabbitmq = createRabbitmqHandler(authorizer, { pathSecret: process.env.SECRET })
 * createEndpointServer(rabbitmq).listen(8081, '127.0.0.1')
 * // rabbitmq.conf: auth_http.user_path = http://127.0.0.1:8081/<secret>/user, and so on
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createRabbitmqHandler(authorizer: Authorizer, options: RabbitmqOptions = {}): HttpHandler {
  const settings = resolveHttpOptions(options, ['vhosts', 'exchange', 'tags'], 'createRabbitmqHandler')
  if ('mountpoint' in options)
    throw new TypeError('"mountpoint" is not an option of createRabbitmqHandler, see "vhosts"')
  const { exchange = 'amq.topic' } = options
  if (typeof exchange !== 'string' || exchange === '') throw new TypeError('"exchange" option must be a name')
  const vhosts = vhostsOption(options.vhosts)
  const allowUser = reply(200, ['allow', ...tagsOption(options.tags)].join(' '))
  const ask = new RabbitmqCalls(new Judge(authorizer, settings, LIMITS), vhosts, exchange)
  return createHttpHandler(
    {
      broker: 'rabbitmq',
      fail: status => reply(status, 'deny'),
      calls: {
        user: async (fields, via, signal) => ((await ask.user(fields, via, signal)) ? allowUser : DENY),
        vhost: async (fields, via) => ((await ask.vhost(fields, via)) ? ALLOW : DENY),
        resource: async (fields, via) => ((await ask.resource(fields, via)) ? ALLOW : DENY),
        topic: async (fields, via) => ((await ask.topic(fields, via)) ? ALLOW : DENY),
      },
    },
    options,
  )
}

function vhostsOption(value: RabbitmqOptions['vhosts'] = { '/': '' }): ReadonlyMap<string, string> {
  const vhosts = Object.entries(value ?? {})
  if (vhosts.length === 0 || !vhosts.every(([, mountpoint]) => typeof mountpoint === 'string')) {
    throw new TypeError('"vhosts" option must be an object with a mountpoint for each virtual host')
  }
  return new Map(vhosts)
}

function tagsOption(value: RabbitmqOptions['tags'] = []): readonly string[] {
  if (!Array.isArray(value) || !value.every(tag => typeof tag === 'string' && /^[\w.-]+$/.test(tag))) {
    throw new TypeError('"tags" option must be an array of names of letters, digits, ".", "_" and "-"')
  }
  return value
}
