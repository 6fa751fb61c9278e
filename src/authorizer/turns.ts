/** Most logins that have to wait anyway and are begun in one turn of the event loop: a few milliseconds of it. */
export const LOGINS_A_TURN = 16

/**
 * Spreads work over turns of the event loop, so that very much of it at once holds up nothing else. Who comes first
 * begins first.
 */
export class Turns {
  readonly #perTurn: number
  readonly #waiting: (() => void)[] = []
  #left: number
  #isTurning = false

  /** @param perTurn Most that begin within one turn. */
  constructor(perTurn: number) {
    this.#perTurn = perTurn
    this.#left = perTurn
  }

  /** Takes a place in this turn, or resolves in the turn that has one. */
  take(): Promise<void> | undefined {
    this.#turn()
    if (this.#left > 0) {
      this.#left--
      return undefined
    }
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  #turn(): void {
    if (this.#isTurning) return
    this.#isTurning = true
    setImmediate(() => {
      this.#isTurning = false
      const next = this.#waiting.splice(0, this.#perTurn)
      this.#left = this.#perTurn - next.length
      if (next.length > 0) this.#turn()
      for (const begin of next) begin()
    })
  }
}
