import { LRUCache } from 'lru-cache'

type Options<V> = LRUCache.Options<string, V & {}, unknown>

/**
 * A cache for what may never come, made when something is first put into it: `lru-cache` takes the room for all its
 * entries at once, which is megabytes, and most of the time it takes to create an authorizer.
 */
export class LateCache<V> {
  readonly #options: Options<V>
  #cache: LRUCache<string, V & {}> | undefined

  constructor(options: Options<V>) {
    this.#options = options
  }

  get size(): number {
    return this.#cache?.size ?? 0
  }

  has(key: string): boolean {
    return this.#cache?.has(key) ?? false
  }

  /** Gives back a value, which is then the one used last. */
  get(key: string): (V & {}) | undefined {
    return this.#cache?.get(key)
  }

  keys(): Iterable<string> {
    return this.#cache?.keys() ?? []
  }

  set(key: string, value: V & {}, options?: LRUCache.SetOptions<string, V & {}, unknown>): void {
    this.#cache ??= new LRUCache(this.#options)
    this.#cache.set(key, value, options)
  }

  delete(key: string): void {
    this.#cache?.delete(key)
  }

  clear(): void {
    this.#cache = undefined
  }
}
