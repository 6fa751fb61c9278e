// A broker for MQTT 3.1, 3.1.1 and 5: QoS 0 and 1 (QoS 2 towards the broker), retained messages, wills, and rights that
// change while clients are connected. Sessions end with their connections; matching looks at every subscription in turn.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import type { Authorizer } from 'mqtt-warden'
import { type BrokerAdapter, createBrokerAdapter, type PublishPacket } from 'mqtt-warden/broker'
import type { Client } from './client.js'
import { Connection } from './connection.js'

const MAX_RETAINED = 10_000

export class Broker {
  readonly adapter: BrokerAdapter
  readonly #server: Server
  readonly #sockets = new Set<Connection>()
  /** Those that have logged in, by client id. */
  readonly #clients = new Map<string, Client>()
  readonly #retained = new Map<string, PublishPacket>()
  #names = 0

  constructor(authorizer: Authorizer) {
    this.adapter = createBrokerAdapter(authorizer, {
      assignClientId: () => `auto-${++this.#names}`,
      reasonStrings: true,
      topicAliasMaximum: 10,
    })
    this.#server = createServer({ noDelay: true }, socket => {
      const connection = new Connection(this, socket)
      this.#sockets.add(connection)
      socket.once('close', () => this.#sockets.delete(connection))
    })
  }

  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** A client has logged in; one that holds its client id has to go. */
  join(client: Client): void {
    const { clientId } = client.session.principal
    this.#clients.get(clientId)?.connection.fail('session_taken_over')
    this.#clients.set(clientId, client)
  }

  leave(client: Client): void {
    const { clientId } = client.session.principal
    if (this.#clients.get(clientId) === client) this.#clients.delete(clientId)
  }

  publish(packet: PublishPacket, from?: Client): void {
    if (packet.retain) this.#retain(packet)
    for (const client of this.#clients.values()) client.deliver(packet, from)
  }

  retained(): IterableIterator<PublishPacket> {
    return this.#retained.values()
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const connection of this.#sockets) connection.fail('server_shutting_down')
    await once(this.#server, 'close')
  }

  #retain(packet: PublishPacket): void {
    this.#retained.delete(packet.topic)
    if (packet.payload.length > 0 && this.#retained.size < MAX_RETAINED) this.#retained.set(packet.topic, packet)
  }
}
