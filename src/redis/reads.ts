import type { Command } from './client.js'
import type { Reply } from './connection.js'
import { CommandFailure } from './failure.js'
import type { Lane } from './lane.js'
import type { Nodes } from './nodes.js'
import type { Sender } from './send.js'
import { COMMANDS_A_VALUE, meaningOf, readingOf, type StoredValue, storedValue } from './stored-value.js'

/** Most values asked for in one piece: Redis serves others between two pieces. */
const MAX_TOGETHER = 128

/** Most reads under way for sessions that are due, and fewest. */
const MAX_AT_ONCE = 512
const MIN_AT_ONCE = 16

/** Bytes of values that may be under way for them, as far as the values can be told beforehand. */
const BYTES_AT_ONCE = 16_777_216

/** What is left of the size of a large value in what the next is taken to be. */
const KEPT = 0.99

const MAX_TRIES = 3

/** A read that has not been sent, or not been answered. */
interface Read {
  readonly redisKey: Buffer
  resolve(value: StoredValue | undefined): void
  reject(error: unknown): void
}

/**
 * Reads values. Those that are asked for in the same turn go to each server in one piece, behind one witness: of very
 * many records, what surrounds a read would cost more than the read. Each fails for itself; nothing is queued for later.
 */
export class Reads {
  readonly #nodes: Nodes
  readonly #sender: Sender
  readonly #maxBytes: number
  #asked: Read[] = []
  /** Size of the values to expect: that of the largest of late. */
  #bytes = 0

  /** @param maxBytes Size beyond which it does not matter how large a value is. */
  constructor(nodes: Nodes, sender: Sender, maxBytes: number) {
    this.#nodes = nodes
    this.#sender = sender
    this.#maxBytes = maxBytes
  }

  /** How many reads may be under way where others must not wait for them. */
  get atOnce(): number {
    return Math.min(MAX_AT_ONCE, Math.max(MIN_AT_ONCE, Math.floor(BYTES_AT_ONCE / this.#bytes)))
  }

  read(redisKey: Buffer): Promise<StoredValue | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#asked.push({ redisKey, resolve, reject }) === 1) process.nextTick(() => void this.#send())
    })
  }

  /** Sends what was asked for up to now. Never rejects. */
  async #send(): Promise<void> {
    const asked = this.#asked
    this.#asked = []
    const lanes = await Promise.allSettled(asked.map(({ redisKey }) => this.#nodes.laneOf(redisKey)))
    const byLane = new Map<Lane, Read[]>()
    for (const [at, read] of asked.entries()) {
      const lane = lanes[at]!
      if (lane.status === 'rejected') read.reject(lane.reason)
      else if (!byLane.get(lane.value)?.push(read)) byLane.set(lane.value, [read])
    }
    for (const [lane, reads] of byLane) {
      for (let from = 0; from < reads.length; from += MAX_TOGETHER) {
        const some = reads.slice(from, from + MAX_TOGETHER)
        if (some.length === 1) void this.#alone(some[0]!)
        else void this.#together(lane, some)
      }
    }
  }

  /** Reads values of one server. Those that turn out to be elsewhere are read one by one. */
  async #together(lane: Lane, reads: readonly Read[]): Promise<void> {
    try {
      const replies = await this.#witnessed(
        reads.flatMap(({ redisKey }) => readingOf(redisKey, this.#maxBytes)),
        commands => this.#sender.sendTo(lane, commands),
      )
      const moved: Read[] = []
      let advice: CommandFailure | undefined
      for (const [at, read] of reads.entries()) {
        const own = replies.slice(at * COMMANDS_A_VALUE, (at + 1) * COMMANDS_A_VALUE)
        const redirection = own.find(isRedirection)
        advice ??= redirection
        if (redirection !== undefined) moved.push(read)
        else this.#settle(read, own)
      }
      // Asked for once, not for each of them. Where that fails, they find out themselves.
      if (advice !== undefined) await this.#nodes.redirected(advice).catch(() => undefined)
      for (const read of moved) void this.#alone(read)
    } catch (error) {
      this.#failed(error, reads)
    }
  }

  #settle(read: Read, replies: readonly Reply[]): void {
    try {
      const value = storedValue(replies)
      if (value === 'unclear') void this.#alone(read)
      else read.resolve(this.#seen(value))
    } catch (error) {
      read.reject(error)
    }
  }

  async #alone(read: Read): Promise<void> {
    const { redisKey } = read
    try {
      for (let tries = 1; ; tries++) {
        const replies = await this.#witnessed(readingOf(redisKey, this.#maxBytes), commands =>
          this.#sender.send(redisKey, commands),
        )
        const value = storedValue(replies)
        // What is found empty again and again is.
        const found = value === 'unclear' && tries === MAX_TRIES ? { bytes: Buffer.alloc(0), ttlMs: -1 } : value
        if (found === 'unclear') continue
        read.resolve(this.#seen(found))
        return
      }
    } catch (error) {
      this.#failed(error, [read])
    }
  }

  async #witnessed(reading: readonly Command[], send: Send): Promise<readonly Reply[]> {
    const { witness } = this.#nodes
    if (witness === undefined) return send(reading)
    return (await send([witness, ...reading])).slice(1)
  }

  #seen(value: StoredValue | undefined): StoredValue | undefined {
    this.#bytes = Math.max(value?.bytes.length ?? 0, this.#bytes * KEPT)
    return value
  }

  #failed(error: unknown, reads: readonly Read[]): void {
    // Perhaps they were too large to arrive in time.
    const isLate = error instanceof CommandFailure && error.kind === 'timeout'
    if (isLate) this.#bytes = Math.min(this.#maxBytes, 2 * Math.max(this.#bytes, BYTES_AT_ONCE / MAX_AT_ONCE))
    for (const read of reads) read.reject(meaningOf(error))
  }
}

type Send = (commands: readonly Command[]) => Promise<readonly Reply[]>

/** Whether a Cluster node says that a key is elsewhere. */
function isRedirection(reply: Reply): reply is CommandFailure {
  return reply instanceof CommandFailure && (reply.code === 'MOVED' || reply.code === 'ASK')
}
