import { WardenError } from '../errors.js'
import { checkNames } from '../options.js'
import type { ChangeEffects, StoreEvent, StoreListener, WatchOptions } from './types.js'

/** Longest time, in milliseconds, that a write waits for the listeners of its own process. */
const LISTENER_WAIT_MS = 5_000

/** Longest grace that a watcher may claim, in milliseconds. */
const MAX_DECIDES_FOR_MS = 86_400_000

const NAMES: ReadonlySet<string> = new Set(['decidesForMs', 'sessions'])

/** A watcher. Wrapped, so that one function may watch twice. */
interface Entry {
  readonly listener: StoreListener
  readonly decidesForMs: number | undefined
  readonly sessions: (() => number) | undefined
}

/** The watchers of one store. Every one of them hears every event, whatever the others do. */
export class Listeners {
  readonly #entries: Set<Entry> = new Set()
  readonly #waitMs: number

  constructor(waitMs: number = LISTENER_WAIT_MS) {
    this.#waitMs = waitMs
  }

  get size(): number {
    return this.#entries.size
  }

  /** The longest that one of them decides by what it knew, in milliseconds; `undefined` when none of them decides. */
  get decidesForMs(): number | undefined {
    const times = [...this.#entries].flatMap(({ decidesForMs }) => decidesForMs ?? [])
    return times.length === 0 ? undefined : Math.max(...times)
  }

  /** How many live sessions they have together; `undefined` when none of them tells. */
  get sessions(): number | undefined {
    const counts = [...this.#entries].flatMap(({ sessions }) => (sessions === undefined ? [] : countOf(sessions())))
    return counts.length === 0 ? undefined : counts.reduce((total, count) => total + count, 0)
  }

  /**
   * Adds a watcher, calls `begin` with what reaches only it, after the caller has returned, and returns what removes
   * it.
   */
  add(
    listener: StoreListener,
    begin: (tell: (event: StoreEvent) => void) => void,
    options: WatchOptions = {},
  ): () => boolean {
    if (typeof listener !== 'function') throw new TypeError('"listener" argument must be a function')
    checkNames(options, NAMES, 'watch')
    const { decidesForMs, sessions } = options
    if (sessions !== undefined && typeof sessions !== 'function') {
      throw new TypeError('"sessions" option must be a function')
    }
    const entry = { listener, decidesForMs: checkDecidesForMs(decidesForMs), sessions }
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

  /** Tells every watcher. Resolves with what all of them did once they have finished, however late; never rejects. */
  async run(event: StoreEvent): Promise<ChangeEffects> {
    return sumEffects(await Promise.all([...this.#entries].map(({ listener }) => this.#call(listener, event))))
  }

  /** As {@link run}, but resolves after the longest wait at the latest. */
  async dispatch(event: StoreEvent): Promise<ChangeEffects> {
    if (this.#entries.size === 0) return {}
    let timer: NodeJS.Timeout | undefined
    const expiry = new Promise<ChangeEffects>(resolve => {
      timer = setTimeout(() => {
        const error = new WardenError(`a watcher did not finish with "${event.type}" within ${this.#waitMs} ms`)
        resolve({ failed: error.message })
        this.#report(error)
      }, this.#waitMs)
    })
    const effects = await Promise.race([this.run(event), expiry])
    clearTimeout(timer)
    return effects
  }

  clear(): void {
    this.#entries.clear()
  }

  #call(listener: StoreListener, event: StoreEvent): Promise<ChangeEffects> | ChangeEffects | undefined {
    const failed = (error: unknown): ChangeEffects => {
      // A listener that fails on being told of a failure is not told again.
      if (event.type !== 'error') this.#report(error)
      return { failed: error instanceof Error ? error.message : 'a watcher failed' }
    }
    try {
      const result = listener(event) as ReturnType<StoreListener> | null
      if (typeof result !== 'object' || result === null) return undefined
      return 'then' in result ? Promise.resolve(result).then(effects => effects ?? {}, failed) : result
    } catch (error) {
      return failed(error)
    }
  }

  #report(error: unknown): void {
    this.tell({ type: 'error', error, place: 'store listener' })
  }
}

/** What several watchers did in sum; the first failure stands for all. Counts that are none count nothing. */
export function sumEffects(all: readonly (ChangeEffects | undefined)[]): ChangeEffects {
  const sum = (name: Exclude<keyof ChangeEffects, 'failed' | 'later'>): number =>
    all.reduce((total, effects) => total + countOf(effects?.[name]), 0)
  const failed = all.find(effects => typeof effects?.failed === 'string')?.failed
  const later = all.flatMap(effects => (effects?.later === undefined ? [] : [finished(effects.later)]))
  const sessionsReauthorized = sum('sessionsReauthorized')
  return {
    sessionsCut: sum('sessionsCut'),
    ...(sessionsReauthorized > 0 && { sessionsReauthorized }),
    subscriptionsDropped: sum('subscriptionsDropped'),
    messagesDropped: sum('messagesDropped'),
    ...(failed !== undefined && { failed }),
    ...(later.length > 0 && { later: Promise.all(later).then(sumEffects) }),
  }
}

/** What a change did in all, when everything that follows it is done. Never rejects. */
export async function wholeOf({ later, ...now }: ChangeEffects): Promise<ChangeEffects> {
  return later === undefined ? now : sumEffects([now, await finished(later)])
}

/** As {@link wholeOf} where that is in time, and else what was given. */
export async function wholeWithin(effects: ChangeEffects, timeoutMs: number): Promise<ChangeEffects> {
  if (effects.later === undefined) return effects
  let timer: NodeJS.Timeout | undefined
  const expiry = new Promise<ChangeEffects>(resolve => {
    timer = setTimeout(resolve, timeoutMs, effects)
  })
  const whole = await Promise.race([wholeOf(effects), expiry])
  clearTimeout(timer)
  return whole
}

/** What goes on afterwards may fail as well. */
async function finished(later: Promise<ChangeEffects>): Promise<ChangeEffects> {
  try {
    return await wholeOf((await later) ?? {})
  } catch (error) {
    return { failed: error instanceof Error ? error.message : 'a watcher failed' }
  }
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
}

function checkDecidesForMs(value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !(value >= 0))
    throw new TypeError('"decidesForMs" option must be a number, 0 or more')
  return Math.min(value, MAX_DECIDES_FOR_MS)
}
