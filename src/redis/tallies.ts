import { sumEffects, wholeOf } from '../store/listeners.js'
import type { ChangeEffects } from '../store/types.js'
import { within } from './time.js'

/** Most records whose changes are remembered, and most changes of one; of more, the oldest is forgotten. */
const MAX_RECORDS = 1_000
const MAX_CHANGES = 16

/** How much earlier than its writer can tell a change may have been heard, in milliseconds. */
const SLACK_MS = 1_000

/** Longest wait for changes that are still being carried out, in milliseconds. */
const WAIT_MS = 1_000

const LATE = new Error('late')

/** A change that was heard. */
interface Entry {
  readonly at: number
  readonly effects: Promise<ChangeEffects>
}

/**
 * What changes did here that were heard lately, until a receipt tells it: by the time that its writer asks, a change
 * was mostly carried out.
 */
export class Tallies {
  readonly #entries: Map<string, Set<Entry>> = new Map()

  /** Takes note of a change of the record with this key. */
  note(text: string, effects: Promise<ChangeEffects>): void {
    const entry = { at: performance.now(), effects }
    const entries = this.#entries.get(text) ?? new Set()
    this.#entries.set(text, entries.add(entry))
    void effects.then(({ failed: _, later, ...counts }) => {
      if (later === undefined && Object.values(counts).every(count => !count)) this.#forget(text, entry)
    })
    if (entries.size > MAX_CHANGES) dropFirst(entries)
    if (this.#entries.size > MAX_RECORDS) dropFirst(this.#entries)
  }

  /**
   * Sums up the changes of a record since a moment on the clock of `performance.now()`. Each is told once; what takes
   * long is told later. What failed then does not matter now.
   */
  async take(text: string, sentAt: number): Promise<ChangeEffects> {
    const recent = [...(this.#entries.get(text) ?? [])].filter(({ at }) => at >= sentAt - SLACK_MS)
    this.#entries.delete(text)
    const all = Promise.all(recent.map(({ effects }) => effects)).then(sumEffects)
    const inTime: Promise<ChangeEffects> = within(all, WAIT_MS, () => LATE).catch(() => ({ later: all }))
    const { failed: _, later, ...now } = await inTime
    return { ...now, ...(later !== undefined && { later: wholeOf({ later }).then(forgive) }) }
  }

  #forget(text: string, entry: Entry): void {
    const entries = this.#entries.get(text)
    if (entries?.delete(entry) && entries.size === 0) this.#entries.delete(text)
  }
}

function forgive({ failed: _, ...effects }: ChangeEffects): ChangeEffects {
  return effects
}

/** Takes the oldest away. */
function dropFirst<K>(collection: { keys(): Iterable<K>; delete(key: K): boolean }): void {
  for (const key of collection.keys()) {
    collection.delete(key)
    return
  }
}
