import type { Reply } from './connection.js'
import { CommandFailure, lossOf } from './failure.js'
import { Lane } from './lane.js'
import type { RedisSettings } from './options.js'
import { type Address, addressText, openLike, placeOf, type SentinelTemplate } from './template.js'
import { Backoff } from './time.js'

/** What one sentinel says. */
export interface SentinelView {
  /** Its own address. */
  readonly at: string
  /** Address of the master that it names. */
  readonly master?: string
  /** How many sentinels it knows of, itself included. */
  readonly known?: number
  /** Whether enough of them see each other to replace the master: its own words, or its refusal. */
  readonly quorum?: string | CommandFailure
  /** Whether it watches no master of that name. */
  readonly isUnknown?: boolean
  /** Why it names none. */
  readonly failure?: CommandFailure
}

const UNKNOWN = 'a sentinel does not know the master'

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

  /** How many have to name a master for it to be believed. */
  get needed(): number {
    return Math.floor(this.count / 2) + 1
  }

  /**
   * Resolves with the master that more than half of the sentinels name, as soon as they have. A master that fewer name
   * may have been replaced by one that we cannot see.
   */
  master(timeoutMs: number): Promise<Address> {
    const { needed } = this
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

  /** What each of them says. Never rejects: who does not answer says so. */
  views(timeoutMs: number): Promise<readonly SentinelView[]> {
    return Promise.all(
      this.#lanes.map(async (lane, index) => {
        const at = addressText(this.#template.sentinels[index]!)
        try {
          return { at, ...(await this.#view(lane, timeoutMs)) }
        } catch (error) {
          return { at, failure: lossOf(error) }
        }
      }),
    )
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map(lane => lane.close()))
  }

  async #ask(lane: Lane, timeoutMs: number): Promise<Address> {
    const connection = await lane.acquire(timeoutMs)
    const reply = await connection.request(['sentinel', 'get-master-addr-by-name', this.name], timeoutMs)
    const address = this.#addressIn(reply)
    if (address === undefined) throw new CommandFailure('refused', UNKNOWN)
    return address
  }

  async #view(lane: Lane, timeoutMs: number): Promise<Omit<SentinelView, 'at'>> {
    const connection = await lane.acquire(timeoutMs)
    const [named, master, quorum] = await connection.requestAll(
      ['get-master-addr-by-name', 'master', 'ckquorum'].map(ask => ['sentinel', ask, this.name] as const),
      timeoutMs,
    )
    if (named instanceof CommandFailure) return { failure: named }
    const address = this.#addressIn(named)
    if (address === undefined) return { isUnknown: true, failure: new CommandFailure('refused', UNKNOWN) }
    const fields = Array.isArray(master) ? master.map(String) : []
    const field = (name: string): number => Number(fields.includes(name) ? fields[fields.indexOf(name) + 1] : undefined)
    const [others, needed] = [field('num-other-sentinels'), field('quorum')]
    const votes = Number.isInteger(needed) ? `${needed} have to agree: ` : ''
    return {
      master: placeOf(address),
      ...(Number.isInteger(others) && { known: others + 1 }),
      quorum: quorum instanceof CommandFailure ? quorum : votes + String(quorum).replace(/^OK /, ''),
    }
  }

  #addressIn(reply: Reply | undefined): Address | undefined {
    if (!Array.isArray(reply) || reply.length !== 2) return undefined
    return this.#template.map({ host: String(reply[0]), port: Number(reply[1]) })
  }
}
