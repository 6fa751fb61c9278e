import type { ChangeEffects } from '../store/types.js'
import type { NodeCaches } from './caches.js'
import type { Shift } from './peers.js'
import { pause } from './work.js'

/** What has to be done about a change, as far as it can be told before doing it. */
export interface Plan {
  /** Names the work among the servers: the same for all that would do the same. */
  readonly work: string
  /** Record and digest that the other servers must have come to know; left out where none is meant. */
  readonly seen?: { readonly record: string; readonly digest: string }
  /** Whether this server remembers what was before; one that does goes first. */
  readonly isInformed: boolean
  /** Whether there is nothing to do but to tell the others so. */
  readonly isNothing: boolean
}

/** A kind of change, and what is done about it. */
export interface Undertaking {
  /** Looks at how things are now; `undefined` when stopped. */
  plan(): Promise<Plan | undefined>
  /**
   * Does it. Called again after answers by older records can no longer arrive. Resolves after the first try with what
   * was done.
   */
  act(pass: number): Promise<ChangeEffects>
  /** It is done, by this server or another. */
  end(): void
  /** Nothing more is to be done. */
  idle(): void
}

/** What all tasks of a server share. */
export interface TaskContext {
  readonly caches: NodeCaches
  readonly shift: Shift
  readonly hasPeers: boolean
  readonly signal: AbortSignal
  readonly responseTimeoutMs: number
  readonly confirmTimeoutMs: number
  readonly takeoverMs: number
  /** How long a server that is silent may go on deciding by what it knew. */
  hearMs(): number
  /** How long a node whose cache cannot be cleared may go on repeating grants. */
  cacheMs(): number
  reportSilent(ids: readonly string[]): void
}

type Waiting = (effects: ChangeEffects) => void

/** How long servers without knowledge of a record leave the work to those with. */
const PRECEDENCE_MS = 200

/**
 * One change being carried out: by one of the servers, in two passes or more, and again if it happens anew meanwhile. A
 * server that does not have the work stands by until it is done, and takes it over when it is dropped.
 */
export class Task {
  readonly #undertaking: Undertaking
  readonly #context: TaskContext
  #isTouched = false
  #isRunning = false
  #wake: AbortController = new AbortController()
  #waiting: Waiting[] = []

  constructor(undertaking: Undertaking, context: TaskContext) {
    this.#undertaking = undertaking
    this.#context = context
  }

  /** Something changed. Resolves when the first pass has been tried here, with what it did, or is another server's. */
  touch(): Promise<ChangeEffects> {
    this.#isTouched = true
    this.#wake.abort()
    const settled = new Promise<ChangeEffects>(resolve => this.#waiting.push(resolve))
    if (!this.#isRunning) void this.#run()
    return settled
  }

  /** Runs until there is nothing left to do. */
  async #run(): Promise<void> {
    const { signal } = this.#context
    const stop = () => this.#wake.abort()
    signal.addEventListener('abort', stop)
    this.#isRunning = true
    while (this.#isTouched && !signal.aborted) {
      this.#isTouched = false
      this.#wake = new AbortController()
      const waiting = this.#waiting
      this.#waiting = []
      const changedAt = performance.now()
      const plan = await this.#undertaking.plan()
      if (plan !== undefined) await this.#carryOut(plan, changedAt, effects => settle(waiting, effects))
      settle(waiting)
    }
    this.#isRunning = false
    signal.removeEventListener('abort', stop)
    settle(this.#waiting)
    this.#undertaking.idle()
  }

  async #carryOut(plan: Plan, changedAt: number, firstPassDone: (effects: ChangeEffects) => void): Promise<void> {
    const { shift, hasPeers } = this.#context
    const before = await shift.peek(plan.work)
    if (plan.seen !== undefined && hasPeers) await shift.confirm(plan.seen.record, plan.seen.digest)
    if (hasPeers && !plan.isInformed) await this.#pause(PRECEDENCE_MS)
    const share = await shift.take(plan.work, before)
    if (share !== 'mine') firstPassDone({})
    if (share === 'done') this.#undertaking.end()
    if (share === 'done' || (share === 'held' && !(await this.#takeOver(plan.work)))) return
    if (plan.isNothing) await this.#pause(hasPeers ? 2 * PRECEDENCE_MS : 0)
    else if (!(await this.#passes(plan, changedAt, firstPassDone))) return
    if (this.#isTouched || this.#context.signal.aborted) return
    this.#undertaking.end()
    await shift.finish(plan.work)
  }

  /** Does all passes; answers whether nothing came in between. */
  async #passes(plan: Plan, changedAt: number, firstPassDone: (effects: ChangeEffects) => void): Promise<boolean> {
    const { responseTimeoutMs, signal } = this.#context
    const isAllConfirmed = await this.#confirmed(plan)
    const lateMs = [responseTimeoutMs, ...(isAllConfirmed ? [] : [this.#context.hearMs() + responseTimeoutMs])]
    firstPassDone(await this.#pass(1))
    const cacheMs = this.#context.cacheMs()
    if (cacheMs > 0) lateMs.push(cacheMs + responseTimeoutMs)
    for (const [index, ms] of lateMs.sort((a, b) => a - b).entries()) {
      await this.#hold(plan.work, changedAt + ms)
      if (this.#isTouched || signal.aborted) return false
      await this.#pass(index + 2)
    }
    return true
  }

  async #pass(number: number): Promise<ChangeEffects> {
    await this.#context.caches.clear()
    return this.#undertaking.act(number)
  }

  async #confirmed({ seen }: Plan): Promise<boolean> {
    const { shift, hasPeers, confirmTimeoutMs, reportSilent } = this.#context
    if (seen === undefined || !hasPeers) return true
    const silent = await shift.unconfirmed(seen.record, seen.digest, confirmTimeoutMs)
    if (silent.length > 0) reportSilent(silent)
    return silent.length === 0
  }

  /** Waits until a moment, and keeps the work this server's meanwhile. */
  async #hold(work: string, until: number): Promise<void> {
    const { shift, hasPeers, takeoverMs } = this.#context
    for (let left = until - performance.now(); left > 0; left = until - performance.now()) {
      if (!(await this.#pause(hasPeers ? Math.min(left, takeoverMs / 3) : left))) return
      if (hasPeers) await shift.renew(work)
    }
  }

  /** Stands by; answers whether the work is this server's now, because the one that had it let it drop. */
  async #takeOver(work: string): Promise<boolean> {
    const { shift, takeoverMs } = this.#context
    for (;;) {
      if (!(await this.#pause(takeoverMs))) return false
      if (await shift.isDone(work)) {
        this.#undertaking.end()
        return false
      }
      if (await shift.takeFree(work)) return true
    }
  }

  /** Waits; answers whether neither a new change nor the end came meanwhile. */
  #pause(ms: number): Promise<boolean> {
    return pause(ms, this.#wake.signal)
  }
}

/** Who waits for the same work is told of it once. */
function settle(waiting: Waiting[], effects: ChangeEffects = {}): void {
  for (const [index, resolve] of waiting.splice(0).entries()) resolve(index === 0 ? effects : {})
}
