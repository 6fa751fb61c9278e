import { performance } from 'node:perf_hooks'
import { Piscina } from 'piscina'
import { HashBusy, HashFailed, HashTimeout } from '../errors.js'
import type { HashRequest } from './hash-worker.js'
import type { HasherStats } from './types.js'

/** How long a thread without work is kept, in milliseconds. */
const IDLE_MS = 5_000

/** After this long, in milliseconds, a hash is taken for lost, and its thread with it. */
const LOST_MS = 120_000

/** Longest delay a Node timer can hold. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

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

export interface HashLimits {
  /** Deadline, counted from the call. Already over when it is 0 or less. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** A hash that was asked for. Settling it again does nothing. */
interface Task {
  readonly request: HashRequest
  succeed(hash: string): void
  fail(reason: unknown): void
}

/**
 * Computes hashes in threads, which start with the first hash, end when idle, and keep no process alive by themselves.
 *
 * The queue is kept here, and Piscina is given only what a thread is free for: its own bound does not count tasks that
 * carry an AbortSignal, and aborting one that runs would kill the thread. So a hash whose caller has left is dropped
 * while it waits, and once begun is computed to its end for nobody.
 */
export class HashPool {
  readonly #threads: number
  readonly #queue: number
  readonly #worker: string
  readonly #idleMs: number
  readonly #lostMs: number
  /** In order of arrival. */
  readonly #waiting = new Set<Task>()
  /** When each was begun, in that order. Holds hashes whose callers have left, too: a thread is busy with them. */
  readonly #running = new Map<Task, number>()
  #piscina: Piscina | undefined
  #closed = false

  constructor({ threads, queue, worker, idleMs, lostMs }: HashPoolOptions) {
    this.#threads = threads
    this.#queue = queue
    this.#worker = (worker ?? new URL('./hash-worker.js', import.meta.url)).href
    this.#idleMs = idleMs ?? IDLE_MS
    this.#lostMs = lostMs ?? LOST_MS
  }

  /** Resolves with the hash; rejects with `HashBusy`, `HashTimeout`, `HashFailed` or the signal's reason. */
  run(request: HashRequest, { timeoutMs, signal }: HashLimits): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new HashFailed('hasher is closed')
      signal?.throwIfAborted()
      const late = new HashTimeout(`hash was not finished within ${timeoutMs} ms`)
      if (!(timeoutMs > 0)) throw late
      this.#dropLostThreads()
      if (this.#running.size >= this.#threads && this.#waiting.size >= this.#queue) {
        throw new HashBusy(`${this.#queue} hashes are waiting already`)
      }
      const leave = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#waiting.delete(task)
      }
      const task: Task = {
        request,
        succeed(hash) {
          leave()
          resolve(hash)
        },
        fail(reason) {
          leave()
          reject(reason)
        },
      }
      const abort = (): void => task.fail(signal?.reason)
      const timer = setTimeout(() => task.fail(late), Math.min(timeoutMs, LONGEST_TIMER_MS))
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.add(task)
      this.#dispatch()
    })
  }

  stats(): HasherStats {
    return { running: this.#running.size, queued: this.#waiting.size }
  }

  /** Rejects everything with `HashFailed` and resolves when the threads have ended. May be called again. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#failAll(new HashFailed('hasher was closed'))
  }

  #dispatch(): void {
    for (const task of this.#waiting) {
      if (this.#running.size >= this.#threads) return
      this.#waiting.delete(task)
      this.#running.set(task, performance.now())
      void this.#compute(task)
    }
  }

  async #compute(task: Task): Promise<void> {
    let hash: Promise<string>
    try {
      this.#piscina ??= this.#start()
      hash = this.#piscina.run(task.request)
    } catch (cause) {
      // The system grants no more threads. Piscina keeps the task queued, and to end it now would reject a promise that
      // nobody holds, so it is let go instead: what threads it has end by themselves.
      this.#piscina = undefined
      void this.#failAll(new HashFailed('hashing thread could not start', { cause }))
      return
    }
    try {
      task.succeed(await hash)
    } catch (cause) {
      task.fail(new HashFailed('hashing thread failed', { cause }))
    }
    this.#running.delete(task)
    this.#dispatch()
  }

  #start(): Piscina {
    const piscina = new Piscina({
      filename: this.#worker,
      name: 'computeHash',
      minThreads: 0,
      maxThreads: this.#threads,
      idleTimeout: this.#idleMs,
      recordTiming: false,
      // Loaders and debuggers of the main thread are of no use to the worker, and slow its start.
      execArgv: [],
    })
    // Emitted when a thread cannot even load. Piscina then leaves what waits for it unanswered, for ever; and without a
    // listener the process would end.
    piscina.on('error', cause => {
      if (this.#piscina === piscina) void this.#failAll(new HashFailed('hashing thread could not start', { cause }))
    })
    return piscina
  }

  /** Fails those waiting first, or the places that become free would be given to them. */
  #failAll(reason: HashFailed): Promise<void> {
    for (const task of this.#waiting) task.fail(reason)
    return this.#discardThreads(reason)
  }

  #discardThreads(reason: HashFailed): Promise<void> {
    const piscina = this.#piscina
    this.#piscina = undefined
    for (const task of this.#running.keys()) task.fail(reason)
    this.#running.clear()
    return piscina?.destroy() ?? Promise.resolve()
  }

  /** A thread that neither answers nor dies would keep its place for ever; new threads take over from it. */
  #dropLostThreads(): void {
    const [begun] = this.#running.values()
    if (begun === undefined || performance.now() - begun < this.#lostMs) return
    void this.#discardThreads(new HashFailed(`hashing thread did not answer for ${this.#lostMs} ms`))
    this.#dispatch()
  }
}
