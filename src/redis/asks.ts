import { StoreUnavailable } from '../errors.js'
import type { NodeIdentity } from '../store/identity.js'
import { type Listeners, sumEffects, wholeOf } from '../store/listeners.js'
import type { ChangeEffects } from '../store/types.js'
import { type Answer, composeAnswer, digestOf } from '../store/write.js'
import { type Ask, MAX_ASK_BYTES, readAsk } from './answers.js'
import { lossOf } from './failure.js'
import type { KeySpace } from './keys.js'
import { Leases } from './leases.js'
import type { RecordCommands } from './records.js'
import type { Sender } from './send.js'
import { Tallies } from './tallies.js'

/** Questions answered at the same time. */
const WIDTH = 16

/** Questions waiting; more are not answered. */
const MAX_WAITING = 256

/** Questions remembered, so that the end of one is not taken for another. */
const MAX_SEEN = 1_000

/** Answers that are completed later; with more, the counts so far are the last word. */
const MAX_COMPLETING = 256

/** How long an answer stays for its reader, in milliseconds. */
const ANSWER_MS = '60000'

/** An answer, and the one that takes its place when what goes on afterwards is done. */
export interface Answered {
  readonly answer: Answer
  readonly completed?: Promise<Answer>
}

/** What a node needs to answer. */
export interface AskContext {
  readonly sender: Sender
  readonly commands: RecordCommands
  readonly keys: KeySpace
  readonly identity: NodeIdentity
  readonly listeners: Listeners
  failed(error: StoreUnavailable, place: string): void
}

/**
 * The part of a node in receipts: it announces itself while one of its watchers decides, and answers writers who ask
 * whether their record is in force here. An answer is given when the watchers have been told of the change once more
 * and have finished, with what the record is then.
 */
export class Asks {
  readonly leases: Leases
  readonly tallies: Tallies = new Tallies()
  readonly counts = { answeredAsks: 0, droppedAsks: 0 }
  readonly #context: AskContext
  readonly #seen: Set<string> = new Set()
  readonly #waiting: string[] = []
  #running = 0
  #completing = 0

  constructor(context: AskContext) {
    this.#context = context
    this.leases = new Leases(context)
  }

  /** Takes note of a question. */
  heard(id: string): void {
    if (!this.leases.isHeld || this.#seen.has(id)) return
    this.#seen.add(id)
    if (this.#seen.size > MAX_SEEN) {
      const [oldest] = this.#seen
      this.#seen.delete(oldest!)
    }
    if (this.#waiting.length >= MAX_WAITING) {
      this.counts.droppedAsks++
      return
    }
    this.#waiting.push(id)
    if (this.#running < WIDTH) void this.#work()
  }

  /**
   * Answers for this process. Never rejects.
   *
   * The watchers are told of the change once more, though most have heard of it by now: that it was heard cannot be
   * shown. What was noted of this record may be of an earlier change, a link that was set up anew in between has lost
   * the news of this one, and on a Cluster question and record come through different links. Where nothing has changed
   * since, it costs one read, and a look at each session of the record.
   */
  async answer({ key, text, sinceMs }: Ask): Promise<Answered> {
    const { listeners, keys, commands } = this.#context
    const heardAt = performance.now()
    const now = await listeners.dispatch({ type: 'changed', key })
    // By now the news of the change itself has arrived as well, and what it did is noted.
    const before = await this.tallies.take(text, heardAt - sinceMs)
    const effects = sumEffects([before, now])
    let bytes: Buffer | null = null
    let failed: string | undefined
    try {
      bytes = (await commands.read(keys.redisKey(text)))?.bytes ?? null
    } catch (error) {
      failed = error instanceof Error ? error.message : 'the record cannot be read'
    }
    const digest = bytes === null ? null : digestOf(bytes)
    const compose = (done: ChangeEffects) => composeAnswer({ ...(failed !== undefined && { failed }), ...done, digest })
    return {
      answer: compose(effects),
      ...(effects.later !== undefined && { completed: wholeOf(effects).then(compose) }),
    }
  }

  async #work(): Promise<void> {
    this.#running++
    for (let id = this.#waiting.shift(); id !== undefined; id = this.#waiting.shift()) {
      try {
        await this.#reply(id)
      } catch (error) {
        // Who asked takes this node for silent.
        this.counts.droppedAsks++
        const cause = lossOf(error)
        this.#context.failed(new StoreUnavailable(`no answer: ${cause.message}`, { cause }), 'answers to receipts')
      }
    }
    this.#running--
  }

  async #reply(id: string): Promise<void> {
    const { sender, keys, identity } = this.#context
    const askKey = keys.askKey(id)
    const [reply] = await sender.send(askKey, [['getrange', askKey, '0', String(MAX_ASK_BYTES - 1)]])
    // It is over already.
    if (!Buffer.isBuffer(reply) || reply.length === 0) return
    const ask = readAsk(reply.toString())
    if (ask === undefined) {
      this.counts.droppedAsks++
      return
    }
    const rowKey = keys.rowKey(id, identity.id)
    const write = (answer: Answer) => sender.send(rowKey, [['set', rowKey, JSON.stringify(answer), 'px', ANSWER_MS]])
    const { answer, completed } = await this.answer(ask)
    await write(answer)
    this.counts.answeredAsks++
    if (completed !== undefined && this.#completing < MAX_COMPLETING) void this.#complete(completed, write)
  }

  /** Keeps nobody else waiting. */
  async #complete(completed: Promise<Answer>, write: (answer: Answer) => Promise<unknown>): Promise<void> {
    this.#completing++
    try {
      await write(await completed)
    } catch {
      // The counts so far stay.
    }
    this.#completing--
  }
}
