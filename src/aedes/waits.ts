import { setTimeout as pause } from 'node:timers/promises'

const FIRST_MS = 10
const LONGEST_MS = 250

/** The time between two looks at what another node does: each twice as long as the one before, up to a quarter second. */
export class Waits {
  #nextMs = FIRST_MS

  async next(): Promise<void> {
    const waitMs = this.#nextMs
    this.#nextMs = Math.min(2 * waitMs, LONGEST_MS)
    await pause(waitMs)
  }
}
