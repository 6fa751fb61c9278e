// One connection: reads packets, logs the client in, and sends what the verdicts of the adapter say.
import type { Socket } from 'node:net'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import type { Answer, RefusalReason } from 'mqtt-warden/broker'
import type { Broker } from './broker.js'
import { Client } from './client.js'

const CONNECT_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 5_000
const MAX_PACKET_BYTES = 1_048_576
const MAX_UNSENT_BYTES = 4 * MAX_PACKET_BYTES
const MAX_BACKLOG = 100

export class Connection {
  readonly #broker: Broker
  readonly #socket: Socket
  readonly #gone = new AbortController()
  #connect: IConnectPacket | undefined
  /** Packets that came while the CONNECT is being judged. */
  readonly #backlog: Packet[] = []
  #client: Client | undefined
  #isClosing = false

  constructor(broker: Broker, socket: Socket) {
    this.#broker = broker
    this.#socket = socket
    const packets = parser()
    packets.on('packet', packet => this.#receive(packet))
    packets.on('error', () => this.fail('malformed_packet'))
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy())
    socket.on('data', chunk => {
      if (!this.#isClosing && packets.parse(chunk) > MAX_PACKET_BYTES) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#isClosing = true
      this.#gone.abort()
      void this.#client?.end()
    })
  }

  /** Does what a verdict says. */
  answer({ send, close }: Answer<Packet | undefined>): void {
    if (send !== undefined) this.send(send)
    if (!close) return
    this.#isClosing = true
    this.#socket.setTimeout(CLOSE_TIMEOUT_MS)
    this.#socket.destroySoon()
  }

  /** Tells whether the packet was sent: an MQTT 5 client is spared what is too large for it [MQTT-3.1.2-24]. */
  send(packet: Packet): boolean {
    if (this.#isClosing) return false
    const { protocolVersion, properties } = this.#connect ?? {}
    const bytes = generate(packet, { protocolVersion })
    if (bytes.length > (properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY)) return false
    this.#socket.write(bytes)
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy()
    return true
  }

  /** Closes the connection, and says why where the version can. */
  fail(reason: RefusalReason): void {
    const session = this.#client?.session
    this.answer({ send: session && this.#broker.adapter.disconnect(session, reason), close: true })
  }

  #receive(packet: Packet): void {
    if (this.#isClosing) return
    if (this.#client !== undefined) this.#client.handle(packet)
    else if (this.#connect !== undefined && this.#backlog.length < MAX_BACKLOG) this.#backlog.push(packet)
    else if (this.#connect === undefined && packet.cmd === 'connect') void this.#logIn(packet)
    else this.#socket.destroy()
  }

  async #logIn(packet: IConnectPacket): Promise<void> {
    this.#connect = packet
    const { adapter } = this.#broker
    const address = this.#socket.remoteAddress ?? ''
    const verdict = await adapter.connect(packet, { address, signal: this.#gone.signal })
    const { session, send } = verdict
    if (session === undefined) return this.answer(verdict)
    if (this.#isClosing) return session.close()
    this.#client = new Client(this.#broker, this, session, packet.properties?.receiveMaximum)
    this.#socket.setTimeout((packet.keepalive ?? 0) * 1_500)
    this.#broker.join(this.#client)
    const limits = { sessionExpiryInterval: 0, subscriptionIdentifiersAvailable: false }
    this.send(packet.protocolVersion === 5 ? { ...send, properties: { ...send.properties, ...limits } } : send)
    adapter.onRevoked(session, revocation => this.answer(revocation))
    for (const waiting of this.#backlog) this.#receive(waiting)
  }
}
