import type { MaybePromise } from './maybe-promise.js'

/**
 * Runs tasks that concern the same key one after the other, in the order they came. Holds a key only while it has
 * tasks.
 */
export class KeyedQueue {
  readonly #tails: Map<string, Tail> = new Map()

  /**
   * As {@link run}, in the same turn where nothing of the key is under way. What comes while the task begins waits for
   * its end like any other.
   */
  runNow<T>(key: string, task: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#tails.has(key)) return this.run(key, async () => task())
    const tail = new Tail()
    this.#tails.set(key, tail)
    let result: MaybePromise<T> | undefined
    try {
      result = task()
      return result
    } finally {
      if (result instanceof Promise) this.#endWith(key, tail, result)
      else this.#end(key, tail)
    }
  }

  /** Resolves when all that is under way for a key now is done; `undefined` where that is nothing. */
  rest(key: string): Promise<void> | undefined {
    return this.#tails.get(key)?.ended()
  }

  /** Resolves or rejects with what `task` does; a failure does not keep the next task from running. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const result = (this.rest(key) ?? Promise.resolve()).then(task)
    const tail = new Tail()
    this.#tails.set(key, tail)
    this.#endWith(key, tail, result)
    return result
  }

  #endWith(key: string, tail: Tail, result: Promise<unknown>): void {
    const end = () => this.#end(key, tail)
    result.then(end, end)
  }

  #end(key: string, tail: Tail): void {
    if (this.#tails.get(key) === tail) this.#tails.delete(key)
    tail.end()
  }
}

/** The last task of a key. Most tasks are done before anybody waits for them, and are spared a promise. */
class Tail {
  #ended: Promise<void> | undefined
  #resolve: (() => void) | undefined

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
