import { setTimeout as sleep } from 'node:timers/promises'
import { VernemqAdminFailed } from '../errors.js'

/** First wait after a failure, in milliseconds; it doubles from try to try. */
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 30_000

/** Milliseconds to wait after the given number of failures: spread, so that servers do not try in step. */
export function backoffMs(tries: number): number {
  const full = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(tries - 1, 20))
  return full / 2 + (Math.random() * full) / 2
}

/** Waits; answers whether it was not stopped meanwhile. Keeps no process alive. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal, ref: false })
    return true
  } catch {
    return false
  }
}

/** Hears of a failed try. */
export type OnFailure = (error: unknown, tries: number, isGivenUp: boolean) => void

/** Runs jobs, a few at a time, each again until it succeeds, is of no use, or all is stopped. */
export class Retries {
  readonly #signal: AbortSignal
  readonly #width: number
  readonly #waiting: (() => void)[] = []
  #running = 0
  /** Jobs that have not succeeded yet. */
  pending = 0

  constructor(signal: AbortSignal, width: number) {
    this.#signal = signal
    this.#width = width
  }

  /**
   * Resolves after the first try, however it went; further tries follow in the background.
   *
   * @param done Called once the job has succeeded, or was given up.
   */
  async run(job: () => Promise<void>, onFailure: OnFailure, done: (error?: unknown) => void = () => {}): Promise<void> {
    this.pending++
    const outcome = await this.#try(job, onFailure, 1)
    if (outcome === 'again') void this.#repeat(job, onFailure, done)
    else this.#finish(done, outcome.error)
  }

  async #repeat(job: () => Promise<void>, onFailure: OnFailure, done: (error?: unknown) => void): Promise<void> {
    for (let tries = 2; ; tries++) {
      if (!(await pause(backoffMs(tries - 1), this.#signal))) break
      const outcome = await this.#try(job, onFailure, tries)
      if (outcome === 'again') continue
      this.#finish(done, outcome.error)
      return
    }
    this.pending--
  }

  #finish(done: (error?: unknown) => void, error: unknown): void {
    this.pending--
    done(error)
  }

  async #try(job: () => Promise<void>, onFailure: OnFailure, tries: number): Promise<'again' | { error?: unknown }> {
    if (this.#running >= this.#width) await new Promise<void>(resolve => this.#waiting.push(resolve))
    else this.#running++
    try {
      if (!this.#signal.aborted) await job()
      return {}
    } catch (error) {
      const isGivenUp = error instanceof VernemqAdminFailed && error.isPermanent
      onFailure(error, tries, isGivenUp)
      return isGivenUp ? { error } : 'again'
    } finally {
      // The place is handed on, or given back.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
