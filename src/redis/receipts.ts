import { randomUUID } from 'node:crypto'
import type { NodeInfo, Receipt, ReceiptRow, SilentNode } from '../store/types.js'
import { type Answer, composeReceipt } from '../store/write.js'
import { type Ask, MAX_ANSWER_BYTES, readAnswer, writeAsk } from './answers.js'
import type { Asks } from './asks.js'
import { lossOf } from './failure.js'
import type { KeySpace } from './keys.js'
import type { NodeList } from './leases.js'
import type { Sender } from './send.js'
import { pause } from './time.js'

/** Time between two looks for answers, in milliseconds; it grows by half with each. */
const LOOK = { minMs: 4, maxMs: 100 }

/** How often it is looked whether silent nodes are still there, in milliseconds. */
const ROLL_CALL_MS = 1_000

/** What a writer wants confirmed. */
export interface Wanted extends Pick<Ask, 'key' | 'text'> {
  /** Digest of what was written. */
  readonly digest: string | null
  /** When the write was sent. */
  readonly sentAt: number
  readonly timeoutMs: number
}

/** What receipts need. */
export interface ReceiptContext {
  readonly sender: Sender
  readonly keys: KeySpace
  readonly asks: Asks
  /** Id of this process. */
  readonly self: string
  /** Tells nodes of a question that would not hear of it otherwise. */
  announce(askKey: Buffer): Promise<unknown>
}

/**
 * Asks all nodes whether a write is in force there. Questions and answers are keys: to PUBLISH is not enough to forge
 * one.
 */
export class Receipts {
  readonly #context: ReceiptContext

  constructor(context: ReceiptContext) {
    this.#context = context
  }

  /** Resolves when all are done or the time is over. Never rejects: the write stands whatever becomes of this. */
  async collect(wanted: Wanted): Promise<Receipt> {
    const { asks, self } = this.#context
    const roll = new Roll(wanted.sentAt)
    let failed: string | undefined
    const stop = new AbortController()
    const fail = (error: unknown): void => {
      failed = `the nodes cannot be asked: ${lossOf(error).message}`
    }
    const doubt = (list: NodeList): void => {
      failed ??= this.#doubtOf(list)
    }
    const { leaseMs } = asks.leases
    if (leaseMs !== undefined) roll.call([{ id: self, seenMs: 0, leaseMs }])
    // The answer of this process needs no Redis to travel, and its listeners have a limit of their own.
    const own = leaseMs === undefined ? undefined : this.#answer(wanted, roll)
    const others = this.#ask(wanted, { roll, doubt, signal: stop.signal }).catch(fail)
    await Promise.race([Promise.all([own, others]), pause(wanted.timeoutMs, stop.signal)])
    stop.abort()
    return composeReceipt(wanted.digest, { rows: roll.rows(), silentNodes: roll.silent(), failed })
  }

  async #answer(wanted: Wanted, roll: Roll): Promise<void> {
    const { asks, self } = this.#context
    const { answer, completed } = await asks.answer({ ...wanted, sinceMs: since(wanted) })
    roll.answered(self, answer)
    if (completed !== undefined) roll.answered(self, await completed)
  }

  async #ask(wanted: Wanted, { roll, doubt, signal }: Asking): Promise<void> {
    const { sender, keys, asks, self, announce } = this.#context
    await asks.leases.settled()
    const present = await asks.leases.look()
    doubt(present)
    roll.call(present.nodes)
    const others = () => roll.unfinished().filter(node => node !== self)
    if (others().length === 0) return
    const id = randomUUID()
    const askKey = keys.askKey(id)
    const text = writeAsk({ text: wanted.text, sinceMs: since(wanted) })
    await sender.send(askKey, [['set', askKey, text, 'px', String(wanted.timeoutMs + ROLL_CALL_MS)]])
    await announce(askKey)
    let calledAt = performance.now()
    for (let waitMs = LOOK.minMs; ; waitMs = Math.min(LOOK.maxMs, waitMs * 1.5)) {
      const asked = others()
      // A loss of the list may have been noticed only now.
      if (asked.length === 0) doubt(await asks.leases.look())
      if (asked.length === 0 || signal.aborted) return
      await pause(waitMs, signal)
      const looks = asked.map(node => ['getrange', keys.rowKey(id, node), '0', String(MAX_ANSWER_BYTES - 1)] as const)
      const replies = await sender.send(askKey, looks)
      if (signal.aborted) return
      for (const [at, node] of asked.entries()) {
        const reply = replies[at]
        if (Buffer.isBuffer(reply) && reply.length > 0) roll.answered(node, readAnswer(reply.toString()))
      }
      if (performance.now() - calledAt < ROLL_CALL_MS) continue
      calledAt = performance.now()
      roll.recall(await asks.leases.list(), self)
    }
  }

  /** Why a list may lack nodes that decide. */
  #doubtOf({ nodes, lostMs = Number.POSITIVE_INFINITY }: NodeList): string | undefined {
    const { asks, self } = this.#context
    // Whatever keeps this process from announcing itself, e.g. a Redis that is full, may keep others from it.
    if (asks.leases.isHeld && !nodes.some(({ id }) => id === self)) {
      return 'this process itself is not in the list of nodes: others may be missing'
    }
    if (lostMs >= Math.max(0, ...nodes.map(({ leaseMs }) => leaseMs))) return undefined
    return `the list of nodes was lost ${Math.round(lostMs / 1_000)} s ago: some may be missing`
  }
}

/** What a question takes along. */
interface Asking {
  readonly roll: Roll
  readonly signal: AbortSignal
  /** Looks at whether all nodes are listed. */
  doubt(list: NodeList): void
}

/** When a node was last heard, and when that was said. */
interface Sighting extends Pick<NodeInfo, 'seenMs' | 'leaseMs'> {
  readonly at: number
}

/** The nodes that a receipt waits for, and what they have said. */
class Roll {
  readonly #sentAt: number
  readonly #rows: Map<string, ReceiptRow> = new Map()
  /** Nodes from which more is to come. */
  readonly #unfinished: Map<string, Sighting> = new Map()

  constructor(sentAt: number) {
    this.#sentAt = sentAt
  }

  /** Waits for these nodes. */
  call(nodes: readonly Pick<NodeInfo, 'id' | 'seenMs' | 'leaseMs'>[]): void {
    const at = performance.now()
    for (const { id, seenMs, leaseMs } of nodes) {
      if (!this.#rows.has(id)) this.#unfinished.set(id, { seenMs, leaseMs, at })
    }
  }

  /** Waits for nodes that are no longer there no longer, save for this process. */
  recall(nodes: readonly NodeInfo[], self: string): void {
    const present = new Map(nodes.map(node => [node.id, node]))
    for (const id of this.unfinished()) {
      const node = present.get(id)
      if (node !== undefined) this.call([node])
      else if (id !== self) this.#unfinished.delete(id)
    }
  }

  answered(node: string, answer: Answer): void {
    const ms = this.#rows.get(node)?.ms ?? Math.round(performance.now() - this.#sentAt)
    this.#rows.set(node, { node, ...answer, ms })
    if (!answer.pending) this.#unfinished.delete(node)
  }

  unfinished(): readonly string[] {
    return [...this.#unfinished.keys()]
  }

  rows(): readonly ReceiptRow[] {
    return [...this.#rows.values()]
  }

  silent(): readonly SilentNode[] {
    const now = performance.now()
    const nodes = [...this.#unfinished].filter(([node]) => !this.#rows.has(node))
    return nodes.sort().map(([node, { seenMs, leaseMs, at }]) => {
      const unheardMs = Math.round(seenMs + now - at)
      return { node, seenMs: unheardMs, leftMs: Math.max(0, leaseMs - unheardMs) }
    })
  }
}

function since({ sentAt }: Wanted): number {
  return performance.now() - sentAt
}
