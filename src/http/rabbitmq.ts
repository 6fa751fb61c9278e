import { denied } from '../acl/rule.js'
import type { Action, Decision, Denied } from '../acl/types.js'
import type { Authorizer } from '../authorizer/types.js'
import { quote } from '../errors.js'
import type { Fields } from './fields.js'
import { createHttpHandler, reply } from './handler.js'
import { type Caller, Judge } from './judge.js'
import { resolveHttpOptions } from './options.js'
import { filterOf, queuesOf, topicOf } from './rabbitmq-names.js'
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
const PERMISSIONS = { configure: 'configure', write: 'write', read: 'read' } as const

/** Asks of one connection: whom about, and whether the virtual host is one of ours. */
interface Connection {
  readonly caller: Caller
  /** Why nothing on this connection is allowed. */
  readonly problem: string | undefined
}

/**
 * Makes an endpoint for `rabbitmq_auth_backend_http` of a RabbitMQ with the MQTT plugin: `…/user`, `…/vhost`,
 * `…/resource` and `…/topic`, by GET or POST.
 *
 * A client gets what MQTT needs and nothing else: the topic exchange, the queues of its own client id, and the topics of
 * its record. A connection without a client id, AMQP and the management interface with it, is refused: records belong to
 * client ids. Answers are `allow` and `deny` without a reason, since RabbitMQ can be told to show it to clients; what is
 * no request of RabbitMQ's gets `deny` and status 400, which RabbitMQ logs and takes for a refusal.
 *
 * Topics reach the endpoint as routing keys, in which `.` stands for `/`. A `.` of the client's own is a level separator
 * for RabbitMQ as well, so topics are judged with `/` in its place, and a rule with a dot in its pattern fits nothing.
 * Publishing to a name with a `*` is refused: RabbitMQ would deliver it as `+`.
 *
 * RabbitMQ remembers the last 12 grants of a connection and asks nothing again once a queue is bound: a right taken away
 * ends for new topics and new connections. To end it at once, close the connection (`rabbitmqctl close_all_user_connections`).
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
  if ('mountpoint' in options) throw new TypeError('"mountpoint" option: name it in "vhosts"')
  const settings = resolveHttpOptions(options, ['vhosts', 'exchange', 'tags'], 'createRabbitmqHandler')
  const vhosts = vhostsOption(options.vhosts)
  const { exchange = 'amq.topic' } = options
  if (typeof exchange !== 'string' || exchange === '') throw new TypeError('"exchange" option must be a name')
  const allowUser = reply(200, ['allow', ...tagsOption(options.tags)].join(' '))
  const judge = new Judge(authorizer, settings, LIMITS)

  const connectionOf = (fields: Fields): Connection => {
    const vhost = fields.text('vhost')
    const mountpoint = vhosts.get(vhost)
    const username = fields.text('username')
    const given = fields.optionalText('client_id')
    const variable = fields.optionalText('variable_map.client_id')
    const caller = {
      mountpoint: mountpoint ?? '',
      clientId: given ?? variable ?? '',
      username,
      address: fields.optionalText('ip'),
    }
    if (mountpoint === undefined) return { caller, problem: `virtual host ${quote(vhost)} is not served` }
    const isTorn =
      (variable ?? caller.clientId) !== caller.clientId ||
      (fields.optionalText('variable_map.username') ?? username) !== username ||
      (fields.optionalText('variable_map.vhost') ?? vhost) !== vhost
    return { caller, problem: isTorn ? 'the variables name somebody else' : undefined }
  }

  const forbid = (via: string, caller: Caller, action: Action, detail: string, subject?: string): Denied =>
    judge.refuse(via, caller, action, subject, { ...denied('no_matching_rule'), detail })

  const decideTopic = async (fields: Fields, via: string): Promise<Decision> => {
    const { caller, problem } = connectionOf(fields)
    const permission = fields.choice('permission', { write: 'write', read: 'read' } as const)
    const name = fields.text('name')
    const key = fields.text('routing_key')
    const action = permission === 'write' ? 'publish' : 'subscribe'
    if (problem !== undefined) return forbid(via, caller, action, problem, key)
    if (name !== exchange) return forbid(via, caller, action, `exchange ${quote(name)} is not the one of MQTT`, key)
    const topic = action === 'publish' ? topicOf(key) : filterOf(key)
    if (topic === undefined) {
      const refused = denied(action === 'publish' ? 'topic_invalid' : 'filter_invalid')
      return judge.refuse(via, caller, action, key, { ...refused, detail: 'the routing key stands for no topic' })
    }
    return judge.decide(via, caller, action === 'publish' ? { action, topic } : { action, filter: topic })
  }

  return createHttpHandler(
    {
      broker: 'rabbitmq',
      fail: status => reply(status, 'deny'),
      calls: {
        async user(fields, via, signal) {
          const { caller, problem } = connectionOf(fields)
          const password = fields.text('password')
          if (problem !== undefined) forbid(via, caller, 'connect', problem)
          else if ((await judge.login(via, caller, password, signal)).allow) return allowUser
          return DENY
        },
        async vhost(fields, via) {
          const { caller, problem } = connectionOf(fields)
          if (problem !== undefined) forbid(via, caller, 'connect', problem)
          else if ((await judge.find(via, caller)).allow) return ALLOW
          return DENY
        },
        async resource(fields, via) {
          const { caller, problem } = connectionOf(fields)
          const kind = fields.text('resource')
          const name = fields.text('name')
          const permission = fields.choice('permission', PERMISSIONS)
          const isOurs =
            kind === 'queue'
              ? queuesOf(caller.clientId).includes(name)
              : kind === 'exchange' && name === exchange && permission !== 'configure'
          if (problem !== undefined || !isOurs) {
            const action = kind === 'exchange' && permission === 'write' ? 'publish' : 'subscribe'
            forbid(via, caller, action, problem ?? `${permission} on ${quote(kind)} ${quote(name)} is not for MQTT`)
            return DENY
          }
          return (await judge.find(via, caller)).allow ? ALLOW : DENY
        },
        topic: async (fields, via) => ((await decideTopic(fields, via)).allow ? ALLOW : DENY),
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
