import type { Credentials } from '../broker/raw-client.js'
import type { BrokerKind, LoopDelays } from '../broker/types.js'
import { Child } from '../child.js'
import { type Storm, storm } from './storm.js'

const PASSWORD = 'correct horse'
/** The bystanders are cut by the broker after one and a half times this, in seconds. */
const KEEPALIVE = 5
const PING_MS = 1_000
const BYSTANDERS = 100
const LIMIT_MS = 120_000
/** A broker that leaves a question open for so long is stuck. */
const ANSWER_MS = 2_000

const CHEAP_HASH = '$2a$04$3I4phdyov6.3JQ1tkJRmQOwijIVU6N.H7Q3QcH72II3W0NkQ72d1q'

/** Hashes of the password by username: the default cost, and little for the bystanders, whose login is not the question. */
export const passhashes = {
  device: '$2a$10$JIfXZAAMmVg1YqbEolP72uPNon7IgdHF0A2g6JyNTA4yZlzDegsF.',
  bystander: CHEAP_HASH,
}

/** The same where it is not the question what the first login of a device takes. */
export const cheapPasshashes: typeof passhashes = { device: CHEAP_HASH, bystander: CHEAP_HASH }

function clientsOf(count: number, username: keyof typeof passhashes): Credentials[] {
  const keepalive = username === 'bystander' ? KEEPALIVE : 60
  return Array.from({ length: count }, (_, at) => ({
    clientId: `${username}-${at}`,
    username,
    password: PASSWORD,
    keepalive,
  }))
}

/** What was seen of one storm. */
export interface Observation {
  readonly storm: Storm
  readonly bystanders: { readonly lost: number; readonly longestMs: number }
  readonly delays: LoopDelays
  /** Microseconds of processor time that the broker took, of all its threads, until the last client was logged in. */
  readonly cpu: number
}

/** A broker, and the clients that are connected to it all the time. */
export class Site {
  readonly #broker: Child
  readonly #bystanders: Child
  readonly #port: number

  static async open(kind: BrokerKind): Promise<Site> {
    const broker = await Child.start(new URL('../broker/server.ts', import.meta.url), kind)
    const port = await broker.ask<number>('listen')
    const clients = clientsOf(BYSTANDERS, 'bystander')
    const script = new URL('bystanders.ts', import.meta.url)
    return new Site(broker, await Child.start(script, { port, clients, pingMs: PING_MS }), port)
  }

  private constructor(broker: Child, bystanders: Child, port: number) {
    this.#broker = broker
    this.#bystanders = bystanders
    this.#port = port
  }

  /** Resolves with what became of the clients, the broker and the bystanders. */
  async storm(count: number, { limitMs = LIMIT_MS, isAwake = false } = {}): Promise<Observation> {
    await this.#bystanders.ask('reset')
    await this.#broker.ask('watch')
    const before = await this.#broker.ask<number>('cpu')
    const clients = clientsOf(count, 'device')
    const seen = await storm({ port: this.#port, clients, limitMs, isAwake })
    const bystanders = await this.#bystanders.ask<Observation['bystanders']>('report')
    const delays = await this.#delays()
    if (delays === undefined) {
      // It is known from outside for how long at least.
      const max = bystanders.longestMs * 1e6
      const stuck = { p99: Number.NaN, max, course: [[seen.seconds, max]] as const }
      return { storm: seen, bystanders, delays: stuck, cpu: Number.NaN }
    }
    const cpu = (await this.#broker.ask<number>('cpu')) - before
    while ((await this.#broker.ask<number>('clients')) > BYSTANDERS) await new Promise(setImmediate)
    return { storm: seen, bystanders, delays, cpu }
  }

  /** What the broker has seen of its event loop; `undefined` when that is stuck. */
  async #delays(): Promise<LoopDelays | undefined> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>(resolve => {
      timer = setTimeout(resolve, ANSWER_MS, undefined)
    })
    const asked = this.#broker.ask<LoopDelays>('delays').catch(() => undefined)
    const delays = await Promise.race([asked, late])
    clearTimeout(timer)
    return delays
  }

  async close(): Promise<void> {
    await this.#bystanders.stop()
    await this.#broker.stop()
  }
}
