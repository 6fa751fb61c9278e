import { Demand } from './demand.js'

/** What waits of one origin. */
interface Flow<T> {
  readonly tasks: Set<T>
  /** How noisy the origin is: the logarithm of how often it has asked of late. */
  rank: number
}

/** Tasks by their origin, taken in turns. All steps take constant time, or logarithmic in how often one has asked. */
export class Flows<T> {
  /** In the order of their next turns. */
  readonly #flows: Map<string, Flow<T>> = new Map()
  /** Origins by rank, each in the order of their next turns. */
  readonly #byRank: Set<string>[] = []
  readonly #bySize: Map<number, Set<string>> = new Map()
  readonly #demand: Demand = new Demand()
  #longest = 0

  /** Tasks of the origin that has most of them. */
  get longest(): number {
    return this.#longest
  }

  sizeOf(origin: string): number {
    return this.#flows.get(origin)?.tasks.size ?? 0
  }

  add(origin: string, task: T): void {
    const flow = this.#flows.get(origin) ?? { tasks: new Set(), rank: 0 }
    this.#flows.set(origin, flow)
    flow.tasks.add(task)
    this.#count(origin, flow)
    this.#resize(origin, flow.tasks.size - 1, flow.tasks.size)
  }

  /** Counts a task that was asked for in vain: who is refused is no quieter for it. */
  refuse(origin: string): void {
    this.#count(origin, this.#flows.get(origin))
  }

  delete(origin: string, task: T): void {
    const flow = this.#flows.get(origin)
    if (!flow?.tasks.delete(task)) return
    if (flow.tasks.size === 0) {
      this.#flows.delete(origin)
      this.#byRank[flow.rank]?.delete(origin)
    }
    this.#resize(origin, flow.tasks.size + 1, flow.tasks.size)
  }

  /**
   * The oldest task of the origin whose turn it is. The turn passes to the next; the task stays until it is deleted.
   */
  next(): T | undefined {
    return this.#take(this.#flows.keys())
  }

  /** The same among the origins that have asked least of late. */
  nextQuiet(): T | undefined {
    return this.#take(this.#byRank.find(origins => origins !== undefined && origins.size > 0) ?? [])
  }

  /** The tasks of the origin that has most of them, the oldest first. */
  tasksOfLongest(): Iterable<T> {
    const origin = first(this.#bySize.get(this.#longest) ?? [])
    return origin === undefined ? [] : this.#flows.get(origin)!.tasks
  }

  /** How noisy an origin is of which something waits. */
  rankOf(origin: string): number {
    return this.#flows.get(origin)?.rank ?? 0
  }

  #count(origin: string, flow: Flow<T> | undefined): void {
    const count = this.#demand.count(origin)
    if (flow === undefined) return
    const rank = 31 - Math.clz32(count)
    if (rank !== flow.rank) this.#byRank[flow.rank]?.delete(origin)
    flow.rank = rank
    this.#byRank[rank] ??= new Set()
    this.#byRank[rank].add(origin)
  }

  #take(origins: Iterable<string>): T | undefined {
    const origin = first(origins)
    if (origin === undefined) return undefined
    const flow = this.#flows.get(origin)!
    this.#flows.delete(origin)
    this.#flows.set(origin, flow)
    const equals = this.#byRank[flow.rank]!
    equals.delete(origin)
    equals.add(origin)
    return first(flow.tasks)
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
