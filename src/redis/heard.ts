import type { LinkEvents } from './link.js'

/** Up to which moment the changes of several servers have been heard: that of the link that is furthest behind. */
export class Heard {
  readonly #servers: number
  readonly #events: Pick<LinkEvents, 'live' | 'blind'>
  readonly #until: Map<string, number> = new Map()
  #told = -Infinity

  /** @param servers How many links there are; nothing is heard of all before each of them is live. */
  constructor(servers: number, events: Pick<LinkEvents, 'live' | 'blind'>) {
    this.#servers = servers
    this.#events = events
  }

  live(place: string, at: number): void {
    this.#until.set(place, at)
    if (this.#until.size < this.#servers) return
    const until = Math.min(...this.#until.values())
    if (until <= this.#told) return
    this.#told = until
    this.#events.live(until)
  }

  blind(place: string): void {
    this.#until.delete(place)
    this.#events.blind()
  }
}
