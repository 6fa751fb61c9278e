/**
 * Runs tasks that concern the same key one after the other, in the order they came. Holds a key only while it has
 * tasks.
 */
export class KeyedQueue {
  readonly #tails: Map<string, Promise<void>> = new Map()

  /** Resolves or rejects with what `task` does; a failure does not keep the next task from running. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(task)
    const forget = () => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail = result.then(forget, forget)
    this.#tails.set(key, tail)
    return result
  }
}
