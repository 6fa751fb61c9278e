import { setTimeout as delay } from 'node:timers/promises'

/** Resolves as the promise does, or rejects with what `expire` returns when it has not settled in time. */
export function within<T>(promise: Promise<T>, timeoutMs: number, expire: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    let settled = false
    // An answer may wait in the socket while this process was busy: it is read before the second step.
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (!settled) reject(expire())
      })
    }, timeoutMs)
    const settle = (): void => {
      settled = true
      clearTimeout(timer)
    }
    promise.then(
      value => {
        settle()
        resolve(value)
      },
      error => {
        settle()
        reject(error)
      },
    )
  })
}

/** Waits, or less when the signal is aborted meanwhile. Never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => {})
}

/**
 * Delays between attempts: none before the first, then doubling from `minMs` to `maxMs`, each shortened at random by up
 * to half so that the nodes of a cluster do not return all at once.
 */
export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  #attempts = 0

  constructor(minMs: number, maxMs: number) {
    this.#minMs = minMs
    this.#maxMs = maxMs
  }

  next(): number {
    const attempt = this.#attempts++
    if (attempt === 0) return 0
    const full = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(attempt - 1, 30))
    return full * (0.5 + Math.random() / 2)
  }

  /** To be called when things have gone well for `workedMs`: too short a time is no reason to try faster. */
  reset(workedMs: number): void {
    if (workedMs >= this.#maxMs) this.#attempts = 0
  }
}
