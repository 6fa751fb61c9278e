/**
 * Has work done a few pieces at a time, in order. Work of a name that has not begun is done once for all who want it.
 */
export class Gate {
  readonly #width: number
  readonly #waiting: Map<string, { readonly begin: () => void; readonly done: Promise<void> }> = new Map()
  #running = 0

  /** @param width Most pieces of work at the same time. */
  constructor(width: number) {
    this.#width = width
  }

  /** Resolves, or rejects, as the work does, which begins after the call. */
  pass(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#running < this.#width) return this.#run(work)
    const waiting = this.#waiting.get(name)
    if (waiting !== undefined) return waiting.done
    let begin!: () => void
    const done = new Promise<void>(resolve => {
      begin = resolve
    }).then(() => this.#run(work))
    this.#waiting.set(name, { begin, done })
    return done
  }

  async #run(work: () => Promise<void>): Promise<void> {
    this.#running++
    try {
      await work()
    } finally {
      this.#running--
      this.#next()
    }
  }

  #next(): void {
    for (const [name, { begin }] of this.#waiting) {
      this.#waiting.delete(name)
      begin()
      return
    }
  }
}
