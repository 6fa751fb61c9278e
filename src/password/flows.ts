/** Tasks by their origin, taken in turns: one of each origin, then the next of each. All steps take constant time. */
export class Flows<T> {
  /** In the order of their next turns. */
  readonly #flows: Map<string, Set<T>> = new Map()
  readonly #bySize: Map<number, Set<string>> = new Map()
  #longest = 0

  /** Tasks of the origin that has most of them. */
  get longest(): number {
    return this.#longest
  }

  sizeOf(origin: string): number {
    return this.#flows.get(origin)?.size ?? 0
  }

  add(origin: string, task: T): void {
    const flow = this.#flows.get(origin) ?? new Set()
    this.#flows.set(origin, flow)
    flow.add(task)
    this.#resize(origin, flow.size - 1, flow.size)
  }

  delete(origin: string, task: T): void {
    const flow = this.#flows.get(origin)
    if (!flow?.delete(task)) return
    if (flow.size === 0) this.#flows.delete(origin)
    this.#resize(origin, flow.size + 1, flow.size)
  }

  /** The oldest task of the origin whose turn it is. The turn passes to the next; the task stays until it is deleted. */
  next(): T | undefined {
    for (const [origin, flow] of this.#flows) {
      this.#flows.delete(origin)
      this.#flows.set(origin, flow)
      return first(flow)
    }
    return undefined
  }

  /** The oldest task of the origin that has most of them. */
  oldestOfLongest(): T | undefined {
    const origin = first(this.#bySize.get(this.#longest) ?? [])
    return origin === undefined ? undefined : first(this.#flows.get(origin)!)
  }

  #resize(origin: string, from: number, to: number): void {
    const before = this.#bySize.get(from)
    before?.delete(origin)
    if (before?.size === 0) this.#bySize.delete(from)
    if (to > 0) {
      const after = this.#bySize.get(to)
      if (after === undefined) this.#bySize.set(to, new Set([origin]))
      else after.add(origin)
    }
    // Sizes change by one, so the next longest is one shorter at most.
    if (to > this.#longest || (from === this.#longest && !this.#bySize.has(from))) this.#longest = to
  }
}

function first<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item
  return undefined
}
