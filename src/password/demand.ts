/** Askings that one memory counts. The one before it counts, too. */
const WINDOW = 10_000

/**
 * Counts how often each origin has asked of late: within the last 10,000 to 20,000 askings of all. So inventing origins
 * takes no more memory, and under load they are forgotten sooner than in quiet times, when nothing depends on it.
 */
export class Demand {
  #counts: Map<string, number> = new Map()
  #before: Map<string, number> = new Map()
  #asked = 0

  /** Counts one; returns how many of late that makes. */
  count(origin: string): number {
    if (this.#asked >= WINDOW) {
      this.#before = this.#counts
      this.#counts = new Map()
      this.#asked = 0
    }
    this.#asked++
    const count = (this.#counts.get(origin) ?? 0) + 1
    this.#counts.set(origin, count)
    return count + (this.#before.get(origin) ?? 0)
  }
}
