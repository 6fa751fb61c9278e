/** Something that has to be over in time. The {@link Deadlines} it is in keeps its place with it. */
export interface Timed {
  expiresAt: number
  before: Timed | undefined
  behind: Timed | undefined
  /** Its time is up. Must not throw. */
  expire(): void
}

/**
 * Ends what takes too long. All have the same time, so that who came first is the first whose time is up: one timer
 * serves them all, and one more costs no more than a place in a list.
 */
export class Deadlines {
  readonly #timeoutMs: number
  #first: Timed | undefined
  #last: Timed | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  start(timed: Timed): void {
    timed.expiresAt = performance.now() + this.#timeoutMs
    timed.before = this.#last
    if (this.#last === undefined) this.#first = timed
    else this.#last.behind = timed
    this.#last = timed
    if (this.#timer === undefined) this.#wait(this.#timeoutMs)
  }

  /** Does nothing for what is not in the list. */
  stop(timed: Timed): void {
    const { before, behind } = timed
    if (before === undefined && this.#first !== timed) return
    if (before === undefined) this.#first = behind
    else before.behind = behind
    if (behind === undefined) this.#last = before
    else behind.before = before
    timed.before = timed.behind = undefined
  }

  #wait(ms: number): void {
    // What is timed holds a connection, which keeps the process alive; the timer may outlast it.
    this.#timer = setTimeout(() => this.#expire(), Math.ceil(ms)).unref()
  }

  #expire(): void {
    this.#timer = undefined
    const now = performance.now()
    for (let timed = this.#first; timed !== undefined; timed = this.#first) {
      if (timed.expiresAt > now) {
        this.#wait(timed.expiresAt - now)
        return
      }
      this.stop(timed)
      timed.expire()
    }
  }
}
