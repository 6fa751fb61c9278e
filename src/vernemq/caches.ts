import type { EnforcementFault, VernemqAdmin, VernemqNodeState } from './types.js'
import { backoffMs, pause } from './work.js'

/** The webhook cache of one node. */
class NodeCache {
  readonly node: string
  state: VernemqNodeState['state'] = 'unproven'
  /** Whether it answered at all when asked last. */
  isReachable = true
  /** Number of the last clearing that was asked for, and of the last that was done. */
  #wanted = 0
  #cleared = 0
  #isRunning = false
  #waiting: { readonly number: number; readonly resolve: () => void }[] = []
  readonly #admin: VernemqAdmin
  readonly #signal: AbortSignal
  readonly #report: (fault: EnforcementFault) => void

  constructor(node: string, admin: VernemqAdmin, signal: AbortSignal, report: (fault: EnforcementFault) => void) {
    this.node = node
    this.#admin = admin
    this.#signal = signal
    this.#report = report
  }

  /**
   * Resolves when a call that began after this moment has cleared the cache, or when clearing has failed once. While it
   * fails anyway, at once: what there is to do on the other nodes must not wait for the next try.
   */
  clear(): Promise<void> {
    const number = ++this.#wanted
    if (!this.#isRunning) void this.#run()
    else if (this.state === 'failing') return Promise.resolve()
    return new Promise(resolve => this.#waiting.push({ number, resolve }))
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (let tries = 0; this.#cleared < this.#wanted && !this.#signal.aborted; ) {
      const number = this.#wanted
      try {
        await this.#admin.clearCache(this.node)
        this.#cleared = number
        this.state = 'clear'
        this.isReachable = true
        tries = 0
      } catch (error) {
        this.fail(error, ++tries)
        this.#settle(Number.POSITIVE_INFINITY)
        await pause(backoffMs(tries), this.#signal)
      }
      this.#settle(this.#cleared)
    }
    this.#isRunning = false
    this.#settle(Number.POSITIVE_INFINITY)
  }

  fail(error: unknown, tries: number): void {
    this.state = 'failing'
    this.isReachable = false
    this.#report({ what: 'cache', node: this.node, error, tries, isGivenUp: false })
  }

  /** Whether a clearing is under way or awaits its next try. */
  get isBusy(): boolean {
    return this.#isRunning
  }

  #settle(upTo: number): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ number }) => number > upTo)
    for (const { number, resolve } of waiting) if (number <= upTo) resolve()
  }
}

/**
 * The webhook caches of all nodes. Clearings that are asked for while one is running become one; a node that fails is
 * tried again, with growing pauses, until it is cleared.
 */
export class NodeCaches {
  readonly #nodes: readonly NodeCache[]
  readonly #admin: VernemqAdmin
  readonly #report: (fault: EnforcementFault) => void
  /** Whether the cluster has no node that the admin client does not know. */
  #isComplete = true

  constructor(admin: VernemqAdmin, signal: AbortSignal, report: (fault: EnforcementFault) => void) {
    this.#admin = admin
    this.#report = report
    this.#nodes = admin.nodes.map(node => new NodeCache(node, admin, signal, report))
  }

  /** Resolves when every node has been cleared since, or fails. */
  async clear(): Promise<void> {
    await Promise.all(this.#nodes.map(node => node.clear()))
  }

  /** Whether all caches of the cluster are within reach. */
  get areClear(): boolean {
    return this.#isComplete && this.#nodes.every(({ state }) => state === 'clear')
  }

  /** Whether any node answers: one is enough to disconnect and reauthorize clients of all. */
  get isReachable(): boolean {
    return this.#nodes.some(({ isReachable }) => isReachable)
  }

  states(): readonly VernemqNodeState[] {
    return this.#nodes.map(({ node, state }) => ({ node, state }))
  }

  /** Asks every node whether it is there and how many there are, so that a lost one is known before it is needed. */
  async probe(): Promise<void> {
    const known = this.#admin.nodes.length
    const sizes = await Promise.all(this.#nodes.map(node => (node.isBusy ? 0 : this.#size(node))))
    const size = Math.max(...sizes)
    const isComplete = size <= known
    if (!isComplete && this.#isComplete) {
      const error = new Error(`VerneMQ has ${size} nodes, and "nodes" of createVernemqAdmin names ${known}`)
      this.#report({ what: 'cluster', error, tries: 1, isGivenUp: false })
    }
    this.#isComplete = isComplete
  }

  async #size(node: NodeCache): Promise<number> {
    try {
      return await this.#admin.clusterSize(node.node)
    } catch (error) {
      // What it holds is not known any more: cleared as soon as it is back.
      node.fail(error, 1)
      void node.clear()
      return 0
    }
  }
}
