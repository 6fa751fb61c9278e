import { Piscina } from 'piscina'
import { HashFailed } from '../errors.js'
import type { HashRequest } from './hash-worker.js'
import { type HashLimits, HashQueue, LOST_MS } from './queue.js'
import type { HasherStats } from './types.js'

/** How long a thread without work is kept, in milliseconds. */
const IDLE_MS = 5_000

/**
 * How much the threads give way to the event loop where cores are few: a hash may hold a core for tens of milliseconds
 * otherwise, and the loop waits. Elsewhere than on Linux a thread has no such value of its own.
 */
const NICE_INCREMENT = process.platform === 'linux' ? 5 : 0

export interface HashPoolOptions {
  /** Most threads at once. */
  readonly threads: number
  /** Most hashes that wait for a thread. */
  readonly queue: number
  /** Module that exports `computeHash`. Built files lie side by side, so the default holds from every one of them. */
  readonly worker?: URL
  /** Overrides `IDLE_MS`. */
  readonly idleMs?: number
  /** Overrides `LOST_MS`. */
  readonly lostMs?: number
}

/**
 * Computes hashes in threads, which start with the first hash, end when idle, and keep no process alive by themselves.
 *
 * Piscina is given only what a thread is free for: its own queue knows no fairness, its bound does not count tasks that
 * carry an AbortSignal, and aborting one that runs would kill the thread.
 */
export class HashPool {
  readonly #threads: number
  readonly #queue: HashQueue
  readonly #worker: string
  readonly #idleMs: number
  readonly #lostMs: number
  #piscina: Piscina | undefined

  constructor({ threads, queue, worker, idleMs, lostMs }: HashPoolOptions) {
    this.#threads = threads
    // What is lost takes its thread with it: see `#dropLostThreads`.
    this.#queue = new HashQueue(threads, queue, Number.POSITIVE_INFINITY)
    this.#worker = (worker ?? new URL('./hash-worker.js', import.meta.url)).href
    this.#idleMs = idleMs ?? IDLE_MS
    this.#lostMs = lostMs ?? LOST_MS
  }

  /** Resolves with the hash; rejects with `HashBusy`, `HashTimeout`, `HashFailed` or the signal's reason. */
  run(request: HashRequest, limits: HashLimits): Promise<string> {
    this.#dropLostThreads()
    return this.#queue.run(() => this.#compute(request), limits)
  }

  stats(): HasherStats {
    return this.#queue.stats()
  }

  /** Rejects everything with `HashFailed` and resolves when the threads have ended. May be called again. */
  async close(): Promise<void> {
    const piscina = this.#piscina
    this.#piscina = undefined
    this.#queue.close(new HashFailed('hasher was closed'))
    await piscina?.destroy()
  }

  async #compute(request: HashRequest): Promise<string> {
    let hash: Promise<string>
    try {
      this.#piscina ??= this.#start()
      hash = this.#piscina.run(request)
    } catch (cause) {
      // The system grants no more threads. Piscina keeps the task queued, and to end it now would reject a promise that
      // nobody holds, so it is let go instead: what threads it has end by themselves.
      this.#piscina = undefined
      const reason = new HashFailed('hashing thread could not start', { cause })
      this.#queue.failWaiting(reason)
      this.#queue.failRunning(reason)
      throw reason
    }
    try {
      return await hash
    } catch (cause) {
      throw new HashFailed('hashing thread failed', { cause })
    }
  }

  #start(): Piscina {
    const piscina = new Piscina({
      filename: this.#worker,
      name: 'computeHash',
      minThreads: 0,
      maxThreads: this.#threads,
      idleTimeout: this.#idleMs,
      recordTiming: false,
      niceIncrement: NICE_INCREMENT,
      // Loaders and debuggers of the main thread are of no use to the worker, and slow its start.
      execArgv: [],
    })
    // Emitted when a thread cannot even load. Piscina then leaves what waits for it unanswered, for ever; and without a
    // listener the process would end.
    piscina.on('error', cause => {
      if (this.#piscina !== piscina) return
      const reason = new HashFailed('hashing thread could not start', { cause })
      this.#queue.failWaiting(reason)
      this.#discardThreads(reason)
    })
    return piscina
  }

  #discardThreads(reason: HashFailed): void {
    const piscina = this.#piscina
    this.#piscina = undefined
    void piscina?.destroy()
    this.#queue.failRunning(reason)
  }

  /** A thread that neither answers nor dies would keep its place for ever; new threads take over from it. */
  #dropLostThreads(): void {
    if (this.#queue.longestRunMs < this.#lostMs) return
    this.#discardThreads(new HashFailed(`hashing thread did not answer for ${this.#lostMs} ms`))
  }
}
