// What is on its way to one client: QoS 0 and 1, with as many unacknowledged messages as the client allows.
import type { PublishPacket } from 'mqtt-warden/broker'

const MAX_IN_FLIGHT = 100
const MAX_WAITING = 1_000

export interface OutboxOptions {
  /** Tells whether the packet was sent. */
  readonly send: (packet: PublishPacket) => boolean
  readonly mayReceive: (packet: PublishPacket) => boolean
  readonly receiveMaximum: number | undefined
}

export class Outbox {
  readonly #options: OutboxOptions
  readonly #waiting: PublishPacket[] = []
  readonly #inFlight = new Set<number>()
  #lastId = 0

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Sends a message when its turn comes. A client that does not keep up loses what exceeds the queue. */
  add(packet: PublishPacket): void {
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(packet)
    this.#flush()
  }

  acknowledged(messageId: number): void {
    this.#inFlight.delete(messageId)
    this.#flush()
  }

  #flush(): void {
    const { send, mayReceive, receiveMaximum = MAX_IN_FLIGHT } = this.#options
    while (this.#waiting.length > 0 && this.#inFlight.size < Math.min(receiveMaximum, MAX_IN_FLIGHT)) {
      const { messageId, ...packet } = this.#waiting.shift() as PublishPacket
      // Asked at the moment of sending: the rules may have changed while the message waited.
      if (!mayReceive(packet)) continue
      if (packet.qos === 0) send({ ...packet, dup: false })
      else {
        const id = this.#nextId()
        if (send({ ...packet, dup: false, messageId: id })) this.#inFlight.add(id)
      }
    }
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1
    while (this.#inFlight.has(this.#lastId))
    return this.#lastId
  }
}
