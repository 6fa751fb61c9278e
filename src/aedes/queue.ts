import type { MaybePromise } from './maybe-promise.js'

/**
 * Runs tasks that concern the same key one after the other, in the order they came. Holds a key only while it has
 * tasks.
 */
export class KeyedQueue {
  /** The last task of each key that goes on for longer than a turn. */
  readonly #tails: Map<string, Tail> = new Map()
  /** The task that is beginning in this turn; most are done then, and never come among the others. */
  #beginning: Tail | undefined

  /**
   * As {@link run}, in the same turn where nothing of the key is under way. What comes while the task begins waits for
   * its end like any other.
   */
  runNow<T>(key: string, task: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#tailOf(key) !== undefined) return this.run(key, async () => task())
    const tail = new Tail(key, this.#beginning)
    this.#beginning = tail
    let result: MaybePromise<T> | undefined
    try {
      result = task()
      return result
    } finally {
      this.#beginning = tail.outer
      if (!(result instanceof Promise)) tail.end()
      else {
        if (!this.#tails.has(key)) this.#tails.set(key, tail)
        this.#endWith(tail, result)
      }
    }
  }

  /** Resolves when all that is under way for a key now is done; `undefined` where that is nothing. */
  rest(key: string): Promise<void> | undefined {
    return this.#tailOf(key)?.ended()
  }

  /** Resolves or rejects with what `task` does; a failure does not keep the next task from running. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const result = (this.rest(key) ?? Promise.resolve()).then(task)
    const tail = new Tail(key)
    this.#tails.set(key, tail)
    this.#endWith(tail, result)
    return result
  }

  #tailOf(key: string): Tail | undefined {
    const waiting = this.#tails.get(key)
    if (waiting !== undefined) return waiting
    let tail = this.#beginning
    while (tail !== undefined && tail.key !== key) tail = tail.outer
    return tail
  }

  #endWith(tail: Tail, result: Promise<unknown>): void {
    const end = () => {
      if (this.#tails.get(tail.key) === tail) this.#tails.delete(tail.key)
      tail.end()
    }
    result.then(end, end)
  }
}

/** The last task of a key. Most tasks are done before anybody waits for them, and are spared a promise. */
class Tail {
  readonly key: string
  /** The task that was beginning when this one began. */
  readonly outer: Tail | undefined
  #ended: Promise<void> | undefined
  #resolve: (() => void) | undefined

  constructor(key: string, outer?: Tail) {
    this.key = key
    this.outer = outer
  }

  ended(): Promise<void> {
    this.#ended ??= new Promise(resolve => {
      this.#resolve = resolve
    })
    return this.#ended
  }

  end(): void {
    this.#resolve?.()
  }
}
