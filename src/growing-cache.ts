import { LRUCache } from 'lru-cache'

/** A cache of at most `max` entries, which drops the one used longest ago. */
export type GrowingCache<V extends {}> = LRUCache<string, V>

type Options<V extends {}> = Omit<LRUCache.OptionsBase<string, V, unknown>, 'maxSize' | 'sizeCalculation'> & {
  /** Most entries. */
  readonly max: number
}

const one = (): number => 1

/**
 * Makes a cache that takes room as it fills. Told the number of entries, `lru-cache` takes the room for all of them at
 * once, which for 100,000 are megabytes, and keeps the event loop for 25 ms; told their size, it does not.
 */
export function growingCache<V extends {}>({ max, ...options }: Options<V>): GrowingCache<V> {
  return new LRUCache({ ...options, maxSize: max, sizeCalculation: one })
}
