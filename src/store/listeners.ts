import { WardenError } from '../errors.js'
import type { StoreEvent, StoreListener } from './types.js'

/** Longest time, in milliseconds, that a write waits for the listeners of its own process. */
export const LISTENER_WAIT_MS = 5_000

/** The watchers of one store. Every one of them hears every event, whatever the others do. */
export class Listeners {
  /** Wrapped, so that one function may watch twice. */
  readonly #entries: Set<{ readonly listener: StoreListener }> = new Set()
  readonly #waitMs: number

  constructor(waitMs: number = LISTENER_WAIT_MS) {
    this.#waitMs = waitMs
  }

  get size(): number {
    return this.#entries.size
  }

  /** Adds a watcher, calls `begin` with what reaches only it, after the caller has returned, and returns what removes it. */
  add(listener: StoreListener, begin: (tell: (event: StoreEvent) => void) => void): () => boolean {
    if (typeof listener !== 'function') throw new TypeError('"listener" argument must be a function')
    const entry = { listener }
    this.#entries.add(entry)
    queueMicrotask(() => {
      if (this.#entries.has(entry)) begin(event => void this.#call(listener, event))
    })
    return () => this.#entries.delete(entry)
  }

  /** Tells every watcher and waits for none. */
  tell(event: StoreEvent): void {
    for (const { listener } of [...this.#entries]) void this.#call(listener, event)
  }

  /** Tells every watcher. Resolves when all have finished, or after the longest wait; never rejects. */
  async dispatch(event: StoreEvent): Promise<void> {
    const running = [...this.#entries].flatMap(({ listener }) => this.#call(listener, event) ?? [])
    if (running.length === 0) return
    let timer: NodeJS.Timeout | undefined
    const expiry = new Promise<void>(resolve => {
      timer = setTimeout(() => {
        resolve()
        this.#report(new WardenError(`a watcher did not finish with "${event.type}" within ${this.#waitMs} ms`))
      }, this.#waitMs)
    })
    await Promise.race([Promise.all(running), expiry])
    clearTimeout(timer)
  }

  clear(): void {
    this.#entries.clear()
  }

  #call(listener: StoreListener, event: StoreEvent): Promise<void> | undefined {
    // A listener that fails on being told of a failure is not told again.
    const failed = (error: unknown): void => {
      if (event.type !== 'error') this.#report(error)
    }
    try {
      const result = listener(event)
      return result === undefined ? undefined : Promise.resolve(result).catch(failed)
    } catch (error) {
      failed(error)
      return undefined
    }
  }

  #report(error: unknown): void {
    this.tell({ type: 'error', error, place: 'store listener' })
  }
}
