// Clients that are connected already and ping, as a process of its own: what the storm does to them.
import { performance } from 'node:perf_hooks'
import { CONNACK, type Credentials, PINGRESP, RawClient } from '../broker/raw-client.js'
import { answer, childArgument } from '../child.js'

interface Argument {
  readonly port: number
  readonly clients: readonly Credentials[]
  /** Milliseconds from one ping of a client to its next. */
  readonly pingMs: number
}

const PINGREQ = Buffer.from([0xc0, 0x00])
const { port, clients, pingMs } = childArgument<Argument>()

/** Milliseconds from a ping to its answer; of those without one, up to now. */
const waits: number[] = []
let lost = 0

class Bystander {
  readonly #client: RawClient
  #askedAt: number | undefined

  static async connect(credentials: Credentials, at: number): Promise<Bystander> {
    const client = new RawClient(port, credentials)
    const connack = await client.next(CONNACK)
    if (connack[1] !== 0) throw new Error(`a bystander was refused: ${connack[1]}`)
    const bystander = new Bystander(client)
    // Spread over the time between two pings.
    setTimeout(() => bystander.#begin(), (at * pingMs) / clients.length)
    return bystander
  }

  private constructor(client: RawClient) {
    this.#client = client
    client.onPacket = kind => {
      if (kind === PINGRESP) this.#settle()
    }
    client.socket.on('close', () => {
      lost++
    })
  }

  #begin(): void {
    const timer = setInterval(() => {
      if (this.#askedAt !== undefined) return
      this.#askedAt = performance.now()
      this.#client.socket.write(PINGREQ)
    }, pingMs)
    this.#client.socket.once('close', () => clearInterval(timer))
  }

  /** Takes note of an answer, or of how long it has been awaited. */
  #settle(isAnswered = true): void {
    if (this.#askedAt === undefined) return
    waits.push(performance.now() - this.#askedAt)
    if (isAnswered) this.#askedAt = undefined
  }

  note(): void {
    this.#settle(false)
  }
}

const bystanders = await Promise.all(clients.map((one, at) => Bystander.connect(one, at)))

answer({
  reset() {
    waits.length = 0
    lost = 0
  },
  report() {
    for (const bystander of bystanders) bystander.note()
    return { lost, longestMs: Math.max(0, ...waits) }
  },
})
