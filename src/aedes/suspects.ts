import type { ChangeEffects } from '../store/types.js'
import type { Sleepers } from './sleepers.js'

/** How often one session is tried before it is left to its next login. */
const MAX_TRIES = 3

/**
 * Sessions whose clients are away when anything may have changed: all of them have to be gone through again. One after
 * the other, and from the start when anything may have changed once more.
 */
export class Suspects {
  readonly #sleepers: Sleepers
  readonly #tidy: (clientId: string) => Promise<ChangeEffects>
  #left: Iterator<string> | undefined
  /** The one that could not be tidied. */
  #current: string | undefined
  #tries = 0
  #isRunning = false

  constructor(sleepers: Sleepers, tidy: (clientId: string) => Promise<ChangeEffects>) {
    this.#sleepers = sleepers
    this.#tidy = tidy
  }

  /** From now on all are suspect. */
  all(): void {
    // Costs nothing for a million of them. Those that fall asleep meanwhile come along.
    this.#left = this.#sleepers.clientIds()
    this.#current = undefined
    this.#tries = 0
  }

  /** None is suspect any more. */
  none(): void {
    this.#left = undefined
  }

  /** Goes on until all are done, or one fails: then what is left is for the next call. */
  async run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const left = this.#left
      const { failed } = await this.#tidy(next)
      if (left === this.#left) {
        const isLeft = failed !== undefined && ++this.#tries < MAX_TRIES
        this.#current = isLeft ? next : undefined
        if (!isLeft) this.#tries = 0
      }
      if (failed !== undefined) break
    }
    this.#isRunning = false
  }

  #next(): string | undefined {
    if (this.#left === undefined) return undefined
    if (this.#current !== undefined) return this.#current
    const { done, value } = this.#left.next()
    if (!done) return value
    this.#left = undefined
    return undefined
  }
}
