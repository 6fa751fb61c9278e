import { performance } from 'node:perf_hooks'
import { HashBusy, HashFailed, HashTimeout } from '../errors.js'
import { Flows } from './flows.js'
import type { HasherLimits, HasherStats } from './types.js'

/** Longest delay a Node timer can hold. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** After this long, in milliseconds, a hash is taken for lost. */
export const LOST_MS = 120_000

/** Most hashes that wait for a time when no login does. */
const MAX_BACKGROUND = 100

/** Turns of a cycle, an even number; the last two are those of the rounds. */
const CYCLE = 8

/** How many of an address or account are looked at to find the one to be dropped. */
const MAX_LOOKED_AT = 32

/** Limits of one hash. */
export interface HashLimits extends HasherLimits {
  /** Whether it can wait until nothing else does. One such hash at most is computed at a time. */
  readonly isBackground?: boolean
}

/** A hash that was asked for. Settling it again does nothing. */
interface Task {
  readonly address: string
  readonly account: string
  readonly isBackground: boolean
  begin(): Promise<unknown>
  succeed(result: unknown): void
  fail(reason: unknown): void
}

/**
 * Has hashes computed, a few at a time, the others waiting.
 *
 * Turns are taken alternately by address and by account. Three of four go to the addresses, or accounts, that have
 * asked for least of late, so that whoever asks for once does not wait for those who ask all the time, however many
 * they are. The fourth goes round all that wait, so that nobody waits for ever.
 *
 * When no more may wait, the address or the account that has most waiting loses one to a newcomer who has fewer: an old
 * one, and of an account under attack one from an address that guesses rather than that of its owner.
 *
 * A hash whose caller has left is dropped while it waits, and once begun is computed to its end for nobody.
 */
export class HashQueue {
  readonly #slots: number
  readonly #queue: number
  readonly #lostMs: number
  readonly #waiting: Set<Task> = new Set()
  readonly #byAddress: Flows<Task> = new Flows()
  readonly #byAccount: Flows<Task> = new Flows()
  readonly #background: Set<Task> = new Set()
  /** When each was begun, in that order. Holds hashes whose callers have left, too: a thread is busy with them. */
  readonly #running: Map<Task, number> = new Map()
  #turn = 0
  #isClosed = false

  /**
   * @param slots Most hashes computed at once.
   * @param queue Most hashes that wait.
   * @param lostMs After how long a hash that neither succeeds nor fails loses its place, or it would keep it for ever.
   */
  constructor(slots: number, queue: number, lostMs: number = LOST_MS) {
    this.#slots = slots
    this.#queue = queue
    this.#lostMs = lostMs
  }

  /**
   * Resolves with what `begin` resolves with, which is called when its turn has come; rejects with `HashBusy`,
   * `HashTimeout`, `HashFailed`, the signal's reason, or what `begin` rejects with.
   */
  run<T>(begin: () => Promise<T>, limits: HashLimits): Promise<T> {
    return new Promise((resolve, reject) => {
      const { timeoutMs, signal, origin = {}, isBackground = false } = limits
      if (this.#isClosed) throw new HashFailed('hasher is closed')
      signal?.throwIfAborted()
      const late = new HashTimeout(`hash was not finished within ${timeoutMs} ms`)
      if (!(timeoutMs > 0)) throw late
      const leave = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#drop(task)
      }
      const task: Task = {
        address: origin.address ?? '',
        account: origin.account ?? '',
        isBackground,
        begin,
        succeed(result) {
          leave()
          resolve(result as T)
        },
        fail(reason) {
          leave()
          reject(reason)
        },
      }
      const abort = (): void => task.fail(signal?.reason)
      this.#dropLost()
      this.#admit(task)
      const timer = setTimeout(() => task.fail(late), Math.min(timeoutMs, LONGEST_TIMER_MS))
      signal?.addEventListener('abort', abort, { once: true })
      this.#dispatch()
    })
  }

  stats(): HasherStats {
    return { running: this.#running.size, queued: this.#waiting.size + this.#background.size }
  }

  /** Milliseconds that the oldest hash is being computed for. */
  get longestRunMs(): number {
    const [begun] = this.#running.values()
    return begun === undefined ? 0 : performance.now() - begun
  }

  /** Fails what waits. */
  failWaiting(reason: HashFailed): void {
    for (const task of [...this.#waiting, ...this.#background]) task.fail(reason)
  }

  /** Fails what is being computed, and gives its places to what waits. */
  failRunning(reason: HashFailed): void {
    const tasks = [...this.#running.keys()]
    this.#running.clear()
    for (const task of tasks) task.fail(reason)
    this.#dispatch()
  }

  /** Fails everything, from now on too. */
  close(reason: HashFailed): void {
    this.#isClosed = true
    // First, or the places that become free would be given to them.
    this.failWaiting(reason)
    this.failRunning(reason)
  }

  #dropLost(): void {
    const now = performance.now()
    for (const [task, begunAt] of this.#running) {
      if (now - begunAt < this.#lostMs) return
      this.#running.delete(task)
      task.fail(new HashFailed(`hash was not finished within ${this.#lostMs} ms`))
    }
  }

  #admit(task: Task): void {
    if (task.isBackground) {
      if (this.#background.size >= MAX_BACKGROUND) throw new HashBusy(`${MAX_BACKGROUND} hashes wait for a quiet time`)
      this.#background.add(task)
      return
    }
    if (this.#running.size >= this.#slots && this.#waiting.size >= this.#queue) {
      const loser = this.#loserTo(task)
      if (loser === undefined) {
        this.#byAddress.refuse(task.address)
        this.#byAccount.refuse(task.account)
        throw new HashBusy(`${this.#queue} hashes are waiting already`)
      }
      loser.fail(new HashBusy('gave way to another client: too many hashes of one address or account are waiting'))
    }
    this.#waiting.add(task)
    this.#byAddress.add(task.address, task)
    this.#byAccount.add(task.account, task)
  }

  /** The task that gives way to a newcomer who would still have fewer waiting; none if there is nobody like that. */
  #loserTo({ address, account }: Task): Task | undefined {
    const overAddress = this.#byAddress.longest - this.#byAddress.sizeOf(address) - 1
    const overAccount = this.#byAccount.longest - this.#byAccount.sizeOf(account) - 1
    if (overAddress <= 0 && overAccount <= 0) return undefined
    if (overAddress >= overAccount) {
      return noisiest(this.#byAddress.tasksOfLongest(), task => this.#byAccount.rankOf(task.account))
    }
    return noisiest(this.#byAccount.tasksOfLongest(), task => this.#byAddress.rankOf(task.address))
  }

  #drop(task: Task): void {
    this.#background.delete(task)
    if (!this.#waiting.delete(task)) return
    this.#byAddress.delete(task.address, task)
    this.#byAccount.delete(task.account, task)
  }

  #dispatch(): void {
    while (this.#running.size < this.#slots) {
      const task = this.#next()
      if (task === undefined) return
      this.#drop(task)
      this.#running.set(task, performance.now())
      void this.#compute(task)
    }
  }

  async #compute(task: Task): Promise<void> {
    let settle: () => void
    try {
      const result = await task.begin()
      settle = () => task.succeed(result)
    } catch (reason) {
      settle = () => task.fail(reason)
    }
    // A place that was given to another already stays with it.
    const isFreed = this.#running.delete(task)
    settle()
    if (isFreed) this.#dispatch()
  }

  #next(): Task | undefined {
    if (this.#waiting.size > 0) {
      const turn = this.#turn++ % CYCLE
      const flows = turn % 2 === 0 ? this.#byAddress : this.#byAccount
      return turn < CYCLE - 2 ? flows.nextQuiet() : flows.next()
    }
    for (const { isBackground } of this.#running.keys()) if (isBackground) return undefined
    const [background] = this.#background
    return background
  }
}

/** Of the oldest few, the task of highest rank; the oldest of several. */
function noisiest(tasks: Iterable<Task>, rankOf: (task: Task) => number): Task | undefined {
  let noisiest: Task | undefined
  let highest = -1
  let count = 0
  for (const task of tasks) {
    if (count++ === MAX_LOOKED_AT) break
    const rank = rankOf(task)
    if (rank <= highest) continue
    noisiest = task
    highest = rank
  }
  return noisiest
}
