import { StoreUnavailable } from '../errors.js'
import { type GrowingCache, growingCache } from '../growing-cache.js'

/** What became of a {@link SharedState.swap}. */
export type Swapped =
  | { readonly swapped: true }
  /** Another value is there than was expected: this one, or none. */
  | { readonly swapped: false; readonly current: string | undefined }

/**
 * Small texts that the nodes over one store share beside the records: whose a client id is, which nodes are alive.
 * Apart from the records, never watched, never scanned.
 *
 * Names are well-formed text of 1 to 512 characters, values of at most 65,536; anything else is a `TypeError`.
 */
export interface SharedState {
  /**
   * Resolves with the value of a name, or `undefined`.
   *
   * @throws StoreUnavailable (`ERR_STORE_UNAVAILABLE`), StoreTimeout (`ERR_STORE_TIMEOUT`).
   */
  get(name: string): Promise<string | undefined>
  /**
   * Puts `value` in the place of `expected`, in one step for all nodes, or does nothing when something else is there.
   * `undefined` stands for nothing: as `expected` the name must be free, as `value` it becomes so.
   *
   * @param ttlMs Milliseconds after which the value goes by itself, 1 to 31,536,000,000; left out, it stays, whatever
   * was said of the value before.
   * @throws StoreUnavailable when nothing was done; OutcomeUnknown (`ERR_OUTCOME_UNKNOWN`) when that cannot be told.
   */
  swap(
    name: string,
    expected: string | undefined,
    value: string | undefined,
    options?: { readonly ttlMs?: number },
  ): Promise<Swapped>
  /**
   * The same for values of any kind, apart from the texts, without promises. Optional: where all who share are in this
   * process, which is then spared to write and read texts.
   */
  readonly local?: LocalState | undefined
}

/**
 * What is shared within one process: values by name, in spaces that are apart from each other. Who reads and writes a
 * value in one turn is disturbed by nobody.
 */
export interface LocalState {
  /** @throws StoreUnavailable when it is closed. */
  get(space: string, name: string): unknown
  /**
   * Puts a value in the place of whatever is there; `undefined` leaves nothing.
   *
   * @throws StoreUnavailable when it is closed.
   */
  set(space: string, name: string, value: unknown): void
}

const MAX_NAME = 512
const MAX_VALUE = 65_536
const MAX_TTL_MS = 31_536_000_000

/** Refuses what no implementation takes, before anything is sent. */
export function checkShared(name: string, values: readonly (string | undefined)[], ttlMs?: number): void {
  if (!isText(name, MAX_NAME) || name === '') throw new TypeError('"name" argument must be text of 1 to 512 characters')
  if (!values.every(value => value === undefined || isText(value, MAX_VALUE))) {
    throw new TypeError('"expected" and "value" arguments must be text of at most 65536 characters, or undefined')
  }
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= MAX_TTL_MS)) {
    throw new TypeError(`"ttlMs" option must be an integer from 1 to ${MAX_TTL_MS}`)
  }
}

/** Two texts that are not well-formed could become one on the way to a server. */
function isText(value: unknown, maxLength: number): boolean {
  return typeof value === 'string' && value.length <= maxLength && value.isWellFormed()
}

/**
 * Shared state of one process. Of more than `max` texts, the one used longest ago is forgotten; of more than `max`
 * other values of one space, the one written longest ago.
 */
export class MemoryShared implements SharedState {
  readonly #values: GrowingCache<string>
  /** By space, then by name. */
  readonly #objects: Map<string, Map<string, unknown>> = new Map()
  readonly #max: number
  #isClosed = false
  readonly local: LocalState = {
    get: (space, name) => {
      this.#demandOpen()
      return this.#objects.get(space)?.get(name)
    },
    set: (space, name, value) => this.#set(space, name, value),
  }

  constructor(max: number) {
    this.#max = max
    this.#values = growingCache({ max })
  }

  async get(name: string): Promise<string | undefined> {
    this.#demandOpen()
    checkShared(name, [])
    return this.#values.get(name)
  }

  async swap(
    name: string,
    expected: string | undefined,
    value: string | undefined,
    { ttlMs }: { readonly ttlMs?: number } = {},
  ): Promise<Swapped> {
    this.#demandOpen()
    checkShared(name, [expected, value], ttlMs)
    const current = this.#values.get(name)
    if (current !== expected) return { swapped: false, current }
    if (value === undefined) this.#values.delete(name)
    else this.#values.set(name, value, { ttl: ttlMs ?? 0 })
    return { swapped: true }
  }

  close(): void {
    this.#isClosed = true
    this.#values.clear()
    this.#objects.clear()
  }

  #set(space: string, name: string, value: unknown): void {
    this.#demandOpen()
    const values = this.#objects.get(space)
    if (value === undefined) values?.delete(name)
    else if (values === undefined) this.#objects.set(space, new Map([[name, value]]))
    else this.#write(values, name, value)
  }

  #write(values: Map<string, unknown>, name: string, value: unknown): void {
    const before = values.size
    values.set(name, value)
    if (values.size === before) {
      // It was there, and becomes the one written last.
      values.delete(name)
      values.set(name, value)
    }
    if (values.size <= this.#max) return
    const [oldest] = values.keys()
    values.delete(oldest!)
  }

  #demandOpen(): void {
    if (this.#isClosed) throw new StoreUnavailable('store is closed')
  }
}
