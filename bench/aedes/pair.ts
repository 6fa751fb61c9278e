import { generate } from 'mqtt-packet'
import { CONNACK, PUBACK, PUBLISH, RawClient, SUBACK } from '../broker/raw-client.js'

/** Messages of a publisher that its subscriber has not received yet, at most. */
const WINDOW = 16
const PAYLOAD = Buffer.alloc(64, 'x')

/** A publisher, and a subscriber that receives what it sends. */
export class Pair {
  readonly #publisher: RawClient
  readonly #subscriber: RawClient
  readonly #topic: string
  /** The packets of two windows in a row, so that no two under way have the same message id. */
  #packets: Buffer = Buffer.alloc(0)
  #size = 0
  #next = 0
  #sent = 0
  #isRunning = false
  #acks: number[] = []
  #whenDone: (() => void) | undefined
  received = 0

  static async open(port: number, at: number): Promise<Pair> {
    const pair = new Pair(port, String(at).padStart(3, '0'))
    await Promise.all([pair.#publisher.next(CONNACK), pair.#subscriber.next(CONNACK)])
    const subscriptions = [{ topic: pair.#topic, qos: 1 as const }]
    pair.#subscriber.socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }))
    const granted = await pair.#subscriber.next(SUBACK)
    if (granted[2] !== 1) throw new Error(`subscription refused: ${granted[2]}`)
    pair.#listen()
    return pair
  }

  private constructor(port: number, name: string) {
    this.#topic = `load/${name}/temp/celsius`
    this.#publisher = new RawClient(port, { clientId: `publisher-${name}`, username: 'load', password: 'any' })
    this.#subscriber = new RawClient(port, { clientId: `subscriber-${name}`, username: 'load', password: 'any' })
  }

  /** Publishes as fast as messages arrive, until `stop`. */
  start(qos: 0 | 1): void {
    const topic = this.#topic
    const packets = Array.from({ length: 2 * WINDOW }, (_, at) =>
      generate({ cmd: 'publish', topic, payload: PAYLOAD, qos, messageId: at + 1, dup: false, retain: false }),
    )
    this.#packets = Buffer.concat(packets)
    this.#size = packets[0]!.length
    this.#next = 0
    this.#sent = 0
    this.received = 0
    this.#isRunning = true
    this.#send(WINDOW)
  }

  /** Resolves when everything sent has arrived. */
  stop(): Promise<void> {
    this.#isRunning = false
    return new Promise(resolve => {
      this.#whenDone = resolve
      this.#tellIfDone()
    })
  }

  #listen(): void {
    const { socket } = this.#subscriber
    let arrived = 0
    this.#subscriber.onPacket = (kind, chunk, body) => {
      if (kind !== PUBLISH) return
      arrived++
      if ((chunk[0]! & 0x06) !== 0) this.#acks.push(chunk.readUInt16BE(body + 2 + this.#topic.length))
    }
    // After the packets of a chunk were looked at.
    socket.on('data', () => {
      if (this.#acks.length > 0) socket.write(pubacks(this.#acks.splice(0)))
      this.received += arrived
      if (this.#isRunning) this.#send(arrived)
      arrived = 0
      this.#tellIfDone()
    })
  }

  #send(count: number): void {
    const end = this.#next + count
    const size = this.#size
    this.#sent += count
    this.#publisher.socket.write(this.#packets.subarray(this.#next * size, Math.min(end, 2 * WINDOW) * size))
    if (end > 2 * WINDOW) this.#publisher.socket.write(this.#packets.subarray(0, (end - 2 * WINDOW) * size))
    this.#next = end % (2 * WINDOW)
  }

  #tellIfDone(): void {
    if (this.#isRunning || this.received < this.#sent) return
    this.#whenDone?.()
    this.#whenDone = undefined
  }
}

function pubacks(ids: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * ids.length)
  ids.forEach((id, at) => {
    buffer.writeUInt16BE((PUBACK << 12) | 2, 4 * at)
    buffer.writeUInt16BE(id, 4 * at + 2)
  })
  return buffer
}
