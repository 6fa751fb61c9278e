import { randomUUID } from 'node:crypto'
import type { Receipt, ReceiptRow } from '../store/types.js'
import { composeReceipt } from '../store/write.js'
import { type Ask, MAX_ANSWER_BYTES, readAnswer, writeAsk } from './answers.js'
import type { Asks } from './asks.js'
import { lossOf } from './failure.js'
import type { KeySpace } from './keys.js'
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

  /** Resolves when all have answered or the time is over. Never rejects: the write stands whatever becomes of this. */
  async collect(wanted: Wanted): Promise<Receipt> {
    const rows: ReceiptRow[] = []
    const silent = new Set<string>()
    const { asks, self } = this.#context
    const add = (node: string, answer: Omit<ReceiptRow, 'node' | 'ms'>): void => {
      rows.push({ node, ...answer, ms: Math.round(performance.now() - wanted.sentAt) })
      silent.delete(node)
    }
    let failed: string | undefined
    const stop = new AbortController()
    const fail = (error: unknown): void => {
      failed = `the nodes cannot be asked: ${lossOf(error).message}`
    }
    const own = asks.leases.isHeld ? asks.answer({ ...wanted, sinceMs: since(wanted) }) : undefined
    const others = this.#ask(wanted, silent, add, stop.signal).catch(fail)
    // The answer of this process needs no Redis to travel, and its listeners have a limit of their own.
    const all = Promise.all([own?.then(answer => add(self, answer)), others])
    await Promise.race([all, pause(wanted.timeoutMs, stop.signal)])
    stop.abort()
    return composeReceipt(wanted.digest, { rows: [...rows], silent: [...silent].sort(), failed })
  }

  async #ask(
    wanted: Wanted,
    silent: Set<string>,
    add: (node: string, answer: ReturnType<typeof readAnswer>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { sender, keys, asks, self, announce } = this.#context
    for (const { id } of await asks.leases.list()) if (id !== self) silent.add(id)
    if (silent.size === 0) return
    const id = randomUUID()
    const askKey = keys.askKey(id)
    const text = writeAsk({ text: wanted.text, sinceMs: since(wanted) })
    await sender.send(askKey, [['set', askKey, text, 'px', String(wanted.timeoutMs + ROLL_CALL_MS)]])
    await announce(askKey)
    let calledAt = performance.now()
    for (let waitMs = LOOK.minMs; silent.size > 0 && !signal.aborted; waitMs = Math.min(LOOK.maxMs, waitMs * 1.5)) {
      await pause(waitMs, signal)
      const waiting = [...silent]
      const looks = waiting.map(node => ['getrange', keys.rowKey(id, node), '0', String(MAX_ANSWER_BYTES - 1)] as const)
      const replies = await sender.send(askKey, looks)
      if (signal.aborted) return
      for (const [at, node] of waiting.entries()) {
        const reply = replies[at]
        if (Buffer.isBuffer(reply) && reply.length > 0) add(node, readAnswer(reply.toString()))
      }
      if (performance.now() - calledAt < ROLL_CALL_MS) continue
      calledAt = performance.now()
      const present = new Set((await asks.leases.list()).map(node => node.id))
      for (const node of silent) if (!present.has(node)) silent.delete(node)
    }
  }
}

function since({ sentAt }: Wanted): number {
  return performance.now() - sentAt
}
