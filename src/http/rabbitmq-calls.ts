import { denied } from '../acl/rule.js'
import type { Action, DenyReason } from '../acl/types.js'
import { quote } from '../errors.js'
import type { Fields } from './fields.js'
import type { Caller, Judge } from './judge.js'
import { filterOf, queuesOf, topicOf } from './rabbitmq-names.js'

const PERMISSIONS = { configure: 'configure', write: 'write', read: 'read' } as const
const TOPIC_PERMISSIONS = { write: 'publish', read: 'subscribe' } as const

/** Whom a call is about. */
interface Connection {
  readonly caller: Caller
  /** Why nothing on this connection is allowed. */
  readonly problem: string | undefined
}

/** What is refused, other than by the record. */
interface Forbidden {
  readonly action: Action
  readonly detail: string
  readonly subject?: string
  readonly reason?: DenyReason
}

/** Decides the four calls of RabbitMQ. */
export class RabbitmqCalls {
  readonly #judge: Judge
  readonly #vhosts: ReadonlyMap<string, string>
  readonly #exchange: string

  constructor(judge: Judge, vhosts: ReadonlyMap<string, string>, exchange: string) {
    this.#judge = judge
    this.#vhosts = vhosts
    this.#exchange = exchange
  }

  async user(fields: Fields, via: string, signal: (() => AbortSignal) | undefined): Promise<boolean> {
    const { caller, problem } = this.#connection(fields)
    const password = fields.text('password')
    if (problem !== undefined) return this.#forbid(via, caller, { action: 'connect', detail: problem })
    return (await this.#judge.login(via, caller, password, signal)).allow
  }

  async vhost(fields: Fields, via: string): Promise<boolean> {
    const { caller, problem } = this.#connection(fields)
    if (problem !== undefined) return this.#forbid(via, caller, { action: 'connect', detail: problem })
    return (await this.#judge.find(via, caller)).allow
  }

  async resource(fields: Fields, via: string): Promise<boolean> {
    const { caller, problem } = this.#connection(fields)
    const kind = fields.text('resource')
    const name = fields.text('name')
    const permission = fields.choice('permission', PERMISSIONS)
    const isOurs =
      kind === 'queue'
        ? queuesOf(caller.clientId).includes(name)
        : kind === 'exchange' && name === this.#exchange && permission !== 'configure'
    if (problem === undefined && isOurs) return (await this.#judge.find(via, caller)).allow
    const action = kind === 'exchange' && permission === 'write' ? 'publish' : 'subscribe'
    const detail = problem ?? `${permission} on ${quote(kind)} ${quote(name)} is not for this client`
    return this.#forbid(via, caller, { action, detail })
  }

  async topic(fields: Fields, via: string): Promise<boolean> {
    const { caller, problem } = this.#connection(fields)
    const action = fields.choice('permission', TOPIC_PERMISSIONS)
    const name = fields.text('name')
    const subject = fields.text('routing_key')
    const topic = action === 'publish' ? topicOf(subject) : filterOf(subject)
    if (problem !== undefined) return this.#forbid(via, caller, { action, subject, detail: problem })
    if (name !== this.#exchange) {
      return this.#forbid(via, caller, { action, subject, detail: `exchange ${quote(name)} is not the one of MQTT` })
    }
    if (topic === undefined) {
      const reason = action === 'publish' ? 'topic_invalid' : 'filter_invalid'
      return this.#forbid(via, caller, { action, subject, reason, detail: 'the routing key stands for no topic' })
    }
    const question = action === 'publish' ? { action, topic } : { action, filter: topic }
    return (await this.#judge.decide(via, caller, question)).allow
  }

  #connection(fields: Fields): Connection {
    const vhost = fields.text('vhost')
    const username = fields.text('username')
    const variable = fields.optionalText('variable_map.client_id')
    const clientId = fields.optionalText('client_id') ?? variable ?? ''
    const mountpoint = this.#vhosts.get(vhost)
    const caller = { mountpoint: mountpoint ?? '', clientId, username, address: fields.optionalText('ip') }
    if (mountpoint === undefined) return { caller, problem: `virtual host ${quote(vhost)} is not served` }
    const isSame =
      (variable ?? clientId) === clientId &&
      (fields.optionalText('variable_map.username') ?? username) === username &&
      (fields.optionalText('variable_map.vhost') ?? vhost) === vhost
    return { caller, problem: isSame ? undefined : 'the variables name somebody else' }
  }

  #forbid(via: string, caller: Caller, { action, subject, reason = 'no_matching_rule', detail }: Forbidden): false {
    this.#judge.refuse(via, caller, action, subject, { ...denied(reason), detail })
    return false
  }
}
