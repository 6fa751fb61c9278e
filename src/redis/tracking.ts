import { BeatReturn } from './beat.js'
import type { Connection, Reply } from './connection.js'
import { CANNOT_WRITE, CommandFailure } from './failure.js'
import type { Arm, News, SourceContext } from './link.js'

/** Name under which Redis delivers invalidations. It is not a channel that anybody is subscribed to. */
const INVALIDATE = Buffer.from('__redis__:invalidate')

/**
 * Hears of changes by broadcast tracking: the server sends the name of every record key that anybody changes, to a
 * connection that tracking is redirected to itself on.
 */
export function createTracking(context: SourceContext): Arm {
  const { keys, settings } = context
  return async (connection, news) => {
    const timeoutMs = settings.commandTimeoutMs
    const id = await connection.request(['client', 'id'], timeoutMs)
    if (typeof id !== 'number') throw new CommandFailure('refused', 'redis did not tell the id of the connection')
    const beat = new Beat(context, connection, id)
    connection.listen((channel, payload) => hear(channel, payload, news, beat))
    const prefixes = [keys.recordPrefix, keys.askPrefix, keys.beatPrefix].flatMap(prefix => ['prefix', prefix])
    await connection.request(['client', 'tracking', 'on', 'redirect', String(id), 'bcast', ...prefixes], timeoutMs)
    // Any subscription lets invalidations through. The name they come under is never subscribed to: others can publish
    // to that channel.
    await connection.request(['subscribe', keys.channel], timeoutMs)
    return () => beat.prove()
  }
}

function hear(channel: unknown, payload: unknown, news: News, beat: Beat): void {
  const isInvalidation = Buffer.isBuffer(channel) && channel.equals(INVALIDATE)
  if (isInvalidation && payload === null) {
    news.unknown()
    return
  }
  if (!isInvalidation || !Array.isArray(payload) || !payload.every(key => Buffer.isBuffer(key))) {
    news.dropped()
    return
  }
  for (const key of payload) news.changed(key)
  for (const key of payload) beat.heard(key)
}

/**
 * Proves, again and again, that a tracking connection hears of every change.
 *
 * A beat writes a key under a tracked prefix, and its own invalidation must come back through the connection: whatever
 * was written before it has then been heard. No two beats share a key. An invalidation may also be due to the expiry of
 * an earlier beat, and one that was under way when a later beat was sent would vouch for a time nothing was heard of.
 *
 * A user without the right to write has the server asked whether it still tracks for the connection, then the
 * connection whether it still answers. The question comes first: the server sends invalidations at the end of a turn of
 * its event loop, and a `PING` is answered within its turn, so it must be sent after that turn was seen to be over.
 */
class Beat {
  readonly #context: SourceContext
  readonly #connection: Connection
  readonly #clientId: number
  readonly #returned: BeatReturn
  #mayWrite = true

  constructor(context: SourceContext, connection: Connection, clientId: number) {
    this.#context = context
    this.#connection = connection
    this.#clientId = clientId
    this.#returned = new BeatReturn(connection)
  }

  /** Takes note of an invalidated key. */
  heard(key: Buffer): void {
    this.#returned.heard(key)
  }

  /** Resolves when everything up to the moment of the call was heard; rejects when that cannot be shown in time. */
  async prove(): Promise<void> {
    if (this.#mayWrite) {
      try {
        await this.#write()
        return
      } catch (error) {
        if (!(error instanceof CommandFailure) || !CANNOT_WRITE.has(error.code)) throw error
        // A server that is full, or cannot save, will take writes again, and shows by them that it is the master.
        this.#mayWrite = error.code !== 'NOPERM'
      }
    }
    await this.#ask()
  }

  /** Writes a beat and awaits its return. */
  async #write(): Promise<void> {
    const { keys, settings, lane, keyEnd } = this.#context
    const timeoutMs = settings.heartbeatTimeoutMs
    const key = keys.beatKey(keyEnd())
    const connection = await lane().acquire(timeoutMs, true)
    await this.#returned.await(key, timeoutMs, async () => {
      const [reply] = await connection.requestAll([['set', key, '', 'px', String(timeoutMs)]], timeoutMs)
      if (!(reply instanceof CommandFailure)) return
      connection.leaveIfNoMaster(reply)
      throw reply
    })
  }

  async #ask(): Promise<void> {
    const { keys, settings, lane, keyEnd } = this.#context
    const timeoutMs = settings.heartbeatTimeoutMs
    const connection = await lane().acquire(timeoutMs, true)
    await connection.demandMaster(timeoutMs)
    const id = String(this.#clientId)
    const listed = await connection.request(['client', 'list', 'id', id], timeoutMs)
    if (!isTracked(listed, id)) throw new CommandFailure('refused', 'redis no longer tracks keys for the link')
    // A master of a Cluster that has lost touch with most others, or its part, refuses to read.
    const end = keyEnd()
    if (end !== '') await connection.request(['pttl', keys.unusedKey(end)], timeoutMs)
    await this.#connection.ping(timeoutMs)
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
