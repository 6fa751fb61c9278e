import { randomUUID } from 'node:crypto'
import type { Connection, Reply } from './connection.js'
import { CommandFailure } from './failure.js'
import type { KeySpace } from './keys.js'
import type { Lane } from './lane.js'
import type { RedisSettings } from './options.js'
import { within } from './time.js'

/** Answers to a `SET` that say no more than that this user, or this server for now, may not write. */
const CANNOT_WRITE: ReadonlySet<string> = new Set(['NOPERM', 'OOM', 'MISCONF'])

/** What the beats of one link need. */
export interface BeatContext {
  readonly settings: RedisSettings
  readonly keys: KeySpace
  /** Way to the data of the server whose changes the link hears. */
  readonly lane: Lane
  /** Put behind each beat's key, so that the server owns it: a hash tag in a Cluster, `''` elsewhere. */
  readonly keyEnd: () => string
}

/** A name for this store among all stores on one Redis. */
export function createNodeName(): string {
  return randomUUID()
}

/**
 * Proves, again and again, that a tracking connection hears of every change.
 *
 * A beat writes a key under a tracked prefix, and its own invalidation must come back through the connection: whatever
 * was written before it has then been heard. No two beats share a key. An invalidation may also be due to the expiry of
 * an earlier beat, and one that was under way when a later beat was sent would vouch for a time nothing was heard of.
 *
 * A user without the right to write has the server asked whether it still tracks for the connection, then the connection
 * whether it still answers. The question comes first: the server sends invalidations at the end of a turn of its event
 * loop, and a `PING` is answered within its turn, so it must be sent after that turn was seen to be over.
 */
export class Beat {
  readonly #context: BeatContext
  readonly #connection: Connection
  readonly #clientId: number
  #mayWrite = true
  #awaited: { readonly key: Buffer; answered(): void; failed(loss: CommandFailure): void } | undefined

  constructor(context: BeatContext, connection: Connection, clientId: number) {
    this.#context = context
    this.#connection = connection
    this.#clientId = clientId
    void connection.lost.then(loss => this.#awaited?.failed(loss))
  }

  /** Takes note of an invalidated key. */
  heard(key: Buffer): void {
    if (this.#awaited?.key.equals(key)) this.#awaited.answered()
  }

  /** Resolves when everything up to the moment of the call was heard; rejects when that cannot be shown in time. */
  async prove(): Promise<void> {
    if (this.#mayWrite) {
      const refused = await this.#write()
      if (refused === undefined) return
      if (!CANNOT_WRITE.has(refused.code)) throw refused
      this.#mayWrite = false
    }
    await this.#ask()
  }

  /** Writes a beat and awaits its return, or gives back the server's refusal. */
  async #write(): Promise<CommandFailure | undefined> {
    const { keys, settings, lane, keyEnd } = this.#context
    const key = keys.beatKey(keyEnd())
    const returned = new Promise<void>((resolve, reject) => {
      this.#awaited = { key, answered: resolve, failed: reject }
    })
    returned.catch(() => {})
    try {
      const timeoutMs = settings.heartbeatTimeoutMs
      const connection = await lane.acquire(timeoutMs, true)
      const [reply] = await connection.requestAll([['set', key, '', 'px', String(timeoutMs)]], timeoutMs)
      if (reply instanceof CommandFailure) return reply
      await within(returned, timeoutMs, () => missed(timeoutMs))
      return undefined
    } finally {
      this.#awaited = undefined
    }
  }

  async #ask(): Promise<void> {
    const timeoutMs = this.#context.settings.heartbeatTimeoutMs
    const connection = await this.#context.lane.acquire(timeoutMs, true)
    const id = String(this.#clientId)
    const listed = await connection.request(['client', 'list', 'id', id], timeoutMs)
    if (!isTracked(listed, id)) throw new CommandFailure('refused', 'redis no longer tracks keys for the link')
    await this.#connection.request(['ping'], timeoutMs)
  }
}

/** Whether a line of CLIENT LIST shows a connection that broadcast tracking is on for, redirected to itself. */
function isTracked(reply: Reply, id: string): boolean {
  if (!Buffer.isBuffer(reply)) return false
  const fields = new Map(
    reply
      .toString()
      .trim()
      .split(' ')
      .map(field => field.split('=', 2) as [string, string]),
  )
  const flags = fields.get('flags') ?? ''
  const isBroadcast = flags.includes('t') && flags.includes('B') && !flags.includes('R')
  return fields.get('id') === id && isBroadcast && fields.get('redir') === id
}

function missed(timeoutMs: number): CommandFailure {
  return new CommandFailure('timeout', `a beat did not come back within ${timeoutMs} ms`)
}
