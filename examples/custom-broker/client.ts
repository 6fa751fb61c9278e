// One client that has logged in: its subscriptions, its packets, and its will.
import type { IPublishPacket, ISubscribePacket, Packet } from 'mqtt-packet'
import { filterMatchesTopic, type Qos } from 'mqtt-warden'
import type { BrokerSession, Grant, PublishPacket } from 'mqtt-warden/broker'
import type { Broker } from './broker.js'
import type { Connection } from './connection.js'
import { Outbox } from './outbox.js'

const MAX_GRANTS = 1_000
/** What leaves this broker has QoS 1 at most. */
const MAX_QOS = 1

export class Client {
  readonly session: BrokerSession
  readonly connection: Connection
  readonly #broker: Broker
  readonly #outbox: Outbox
  readonly #grants = new Map<string, Grant>()
  /** QoS 2 messages that were taken, and whose PUBREL is still to come. */
  readonly #taken = new Set<number>()
  #wantsWill = true

  constructor(broker: Broker, connection: Connection, session: BrokerSession, receiveMaximum: number | undefined) {
    const { adapter } = broker
    this.session = session
    this.connection = connection
    this.#broker = broker
    this.#outbox = new Outbox({
      send: packet => connection.send(packet),
      mayReceive: packet => adapter.deliver(session, packet).allow,
      receiveMaximum,
    })
    session.rights.onChange(() => {
      const lost = adapter.recheck(session, this.#grants.values())
      for (const { requested } of lost) this.#grants.delete(requested)
      return { subscriptionsDropped: lost.length }
    })
  }

  handle(packet: Packet): void {
    const { cmd, messageId = 0 } = packet
    if (cmd === 'publish') this.#publish(packet)
    else if (cmd === 'subscribe') this.#subscribe(packet)
    else if (cmd === 'puback') this.#outbox.acknowledged(messageId)
    else if (cmd === 'pingreq') this.connection.send({ cmd: 'pingresp' })
    else if (cmd === 'disconnect') {
      this.#wantsWill = packet.reasonCode === 0x04
      this.connection.answer({ send: undefined, close: true })
    } else if (cmd === 'pubrel' && messageId > 0) {
      this.#taken.delete(messageId)
      this.connection.send({ cmd: 'pubcomp', messageId, reasonCode: 0 })
    } else if (cmd === 'unsubscribe' && messageId > 0 && packet.unsubscriptions.length > 0) {
      const granted = packet.unsubscriptions.map(filter => (this.#grants.delete(filter) ? 0x00 : 0x11))
      this.connection.send({ cmd: 'unsuback', messageId, granted })
    } else this.connection.fail('protocol_error')
  }

  deliver(packet: PublishPacket, from?: Client): void {
    const grants = [...this.#grants.values()].filter(
      ({ filter, options }) => filterMatchesTopic(filter, packet.topic) && !(options.noLocal && from === this),
    )
    if (grants.length === 0) return
    const retain = packet.retain && grants.some(({ options }) => options.retainAsPublished)
    this.#enqueue({ ...packet, retain }, Math.max(...grants.map(({ qos }) => qos)))
  }

  /** The connection is gone. */
  async end(): Promise<void> {
    this.#broker.leave(this)
    const will = this.#wantsWill ? await this.#broker.adapter.will(this.session) : undefined
    this.session.close()
    if (will !== undefined) this.#broker.publish(will)
  }

  #publish(packet: IPublishPacket): void {
    const { qos, messageId = 0 } = packet
    if (qos === 2 && this.#taken.has(messageId)) {
      this.connection.send({ cmd: 'pubrec', messageId, reasonCode: 0 })
      return
    }
    const verdict = this.#broker.adapter.publish(this.session, packet)
    this.connection.answer(verdict)
    if (verdict.action !== 'deliver') return
    if (qos === 2) this.#taken.add(messageId)
    this.#broker.publish(verdict.packet, this)
  }

  #subscribe(packet: ISubscribePacket): void {
    const { send, close, granted } = this.#broker.adapter.subscribe(this.session, packet)
    if (send?.cmd === 'suback')
      send.granted.forEach((code, index) => {
        if (code === 2) send.granted[index] = MAX_QOS
      })
    this.connection.answer({ send, close })
    for (const grant of granted) {
      const isNew = !this.#grants.has(grant.requested)
      this.#grants.set(grant.requested, grant)
      const { retainHandling } = grant.options
      if (retainHandling === 'send_retain' || (retainHandling === 'send_if_new_sub' && isNew)) this.#sendRetained(grant)
    }
    if (this.#grants.size > MAX_GRANTS) this.connection.fail('busy')
  }

  #sendRetained({ filter, qos }: Grant): void {
    for (const packet of this.#broker.retained()) {
      if (filterMatchesTopic(filter, packet.topic)) this.#enqueue(packet, qos)
    }
  }

  #enqueue(packet: PublishPacket, grantedQos: number): void {
    this.#outbox.add({ ...packet, qos: Math.min(packet.qos, grantedQos, MAX_QOS) as Qos })
  }
}
