import { CommandFailure, lossOf } from './failure.js'
import { Lane } from './lane.js'
import type { RedisSettings } from './options.js'
import { type Address, openLike, placeOf, type SentinelTemplate } from './template.js'
import { Backoff } from './time.js'

/** The sentinels that were listed, each asked through a connection of its own. */
export class Sentinels {
  /** Which master they watch. */
  readonly name: string
  readonly count: number
  readonly #template: SentinelTemplate
  readonly #lanes: readonly Lane[]

  constructor(template: SentinelTemplate, settings: RedisSettings) {
    this.name = template.name
    this.count = template.sentinels.length
    this.#template = template
    this.#lanes = template.sentinels.map(sentinel => {
      const backoff = new Backoff(settings.reconnectMinMs, settings.reconnectMaxMs)
      return new Lane(signal => openLike(sentinel, settings, { name: 'sentinel', signal }), backoff)
    })
  }

  /**
   * Resolves with the master that more than half of the sentinels name, as soon as they have. A master that fewer name
   * may have been replaced by one that we cannot see.
   */
  master(timeoutMs: number): Promise<Address> {
    const needed = Math.floor(this.count / 2) + 1
    const votes = new Map<string, number>()
    let failure: CommandFailure | undefined
    return new Promise((resolve, reject) => {
      const asked = this.#lanes.map(async lane => {
        try {
          const address = await this.#ask(lane, timeoutMs)
          const place = placeOf(address)
          votes.set(place, (votes.get(place) ?? 0) + 1)
          if (votes.get(place) === needed) resolve(address)
        } catch (error) {
          failure ??= lossOf(error)
        }
      })
      void Promise.all(asked).then(() => {
        const reason = failure === undefined ? '' : `: ${failure.message}`
        const message = `fewer than ${needed} of ${this.count} sentinels agree on a master${reason}`
        reject(new CommandFailure('unsent', message, { cause: failure }))
      })
    })
  }

  /** How many sentinels the first that answers knows of, itself included. */
  async known(timeoutMs: number): Promise<number> {
    return Promise.any(
      this.#lanes.map(async lane => {
        const connection = await lane.acquire(timeoutMs)
        const others = await connection.request(['sentinel', 'sentinels', this.name], timeoutMs)
        if (!Array.isArray(others)) throw new CommandFailure('refused', 'a sentinel does not tell of the others')
        return others.length + 1
      }),
    )
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map(lane => lane.close()))
  }

  async #ask(lane: Lane, timeoutMs: number): Promise<Address> {
    const connection = await lane.acquire(timeoutMs)
    const reply = await connection.request(['sentinel', 'get-master-addr-by-name', this.name], timeoutMs)
    if (!Array.isArray(reply) || reply.length !== 2) {
      throw new CommandFailure('refused', 'a sentinel does not know the master')
    }
    return this.#template.map({ host: String(reply[0]), port: Number(reply[1]) })
  }
}
