import { StoreUnavailable } from '../errors.js'
import { Beat, type BeatContext } from './beat.js'
import type { Connection } from './connection.js'
import { CommandFailure, lossOf } from './failure.js'
import type { Open } from './lane.js'
import { Backoff, pause } from './time.js'

/** Name under which Redis delivers invalidations. It is not a channel that anybody is subscribed to. */
const INVALIDATE = Buffer.from('__redis__:invalidate')

/** What a link reports. Never called for a connection that is over. */
export interface LinkEvents {
  /** A key was invalidated. */
  changed(redisKey: Buffer): void
  /** Anything may have changed: the link was set up anew, or everything was flushed. */
  unknown(): void
  /** Everything up to `at`, on the clock of `performance.now()`, has been heard. */
  live(at: number): void
  /** Changes are no longer heard. */
  blind(): void
  /** Why an attempt to hear changes ended. */
  failed(error: StoreUnavailable): void
  /** Something arrived that is no invalidation. */
  dropped(): void
}

/** What a link needs besides. */
export interface LinkContext extends BeatContext {
  /** Opens a connection for tracking. */
  readonly open: Open
  /** Which server, for messages. */
  readonly place: string
  /** Checked along with each beat; rejects when the link must be given up for another reason. */
  readonly verify?: () => Promise<void>
  readonly events: LinkEvents
}

/**
 * Hears of the changes that one server makes, through a connection of its own that the server tracks for.
 *
 * Each connection is an epoch: open, ask for tracking, subscribe, report `unknown`, then beat after beat report `live`.
 * At the first failure of any step the connection is destroyed, `blind` is reported if it was live, and after a pause
 * the next epoch begins.
 */
export class TrackingLink {
  readonly #context: LinkContext
  readonly #backoff: Backoff
  readonly #stopping: AbortController = new AbortController()
  readonly #running: Promise<void>

  constructor(context: LinkContext) {
    this.#context = context
    this.#backoff = new Backoff(context.settings.reconnectMinMs, context.settings.reconnectMaxMs)
    this.#running = this.#run(this.#stopping.signal)
  }

  /** Ends the link without a further report; resolves when its socket is closed. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let connection: Connection | undefined
      try {
        connection = await this.#context.open(signal)
        await this.#live(connection, signal)
      } catch (error) {
        connection?.destroy(error)
        if (!signal.aborted) this.#context.events.failed(this.#explain(lossOf(error)))
      }
      await connection?.ended
      await pause(this.#backoff.next(), signal)
    }
  }

  /** One epoch. Ends by rejecting only. */
  async #live(connection: Connection, signal: AbortSignal): Promise<never> {
    const { events } = this.#context
    const stop = (): void => connection.destroy(new CommandFailure('lost', 'store is closed'))
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    let liveSince: number | undefined
    const lost = connection.lost.then(loss => {
      if (liveSince !== undefined && !signal.aborted) events.blind()
      throw loss
    })
    try {
      const beats = this.#arm(connection).then(beat =>
        this.#beat(beat, () => (liveSince ??= performance.now()), connection),
      )
      return await Promise.race([beats, lost])
    } finally {
      signal.removeEventListener('abort', stop)
      if (liveSince !== undefined) this.#backoff.reset(performance.now() - liveSince)
    }
  }

  /** Has the server report changes to this connection. From the subscription on none is missed. */
  async #arm(connection: Connection): Promise<Beat> {
    const { keys, settings, events } = this.#context
    const timeoutMs = settings.commandTimeoutMs
    const id = await connection.request(['client', 'id'], timeoutMs)
    if (typeof id !== 'number') throw new CommandFailure('refused', 'redis did not tell the id of the connection')
    const beat = new Beat(this.#context, connection, id)
    connection.listen((channel, payload) => this.#hear(channel, payload, beat))
    const prefixes = ['prefix', keys.recordPrefix, 'prefix', keys.beatPrefix]
    await connection.request(['client', 'tracking', 'on', 'redirect', String(id), 'bcast', ...prefixes], timeoutMs)
    // Any subscription lets invalidations through. The name they come under is never subscribed to: others can publish
    // to that channel.
    await connection.request(['subscribe', keys.channel], timeoutMs)
    events.unknown()
    return beat
  }

  async #beat(beat: Beat, proven: () => void, connection: Connection): Promise<never> {
    const { settings, events, verify } = this.#context
    for (;;) {
      if (!connection.isUsable) throw new CommandFailure('lost', 'connection closed')
      const sentAt = performance.now()
      await Promise.all([beat.prove(), verify?.()])
      if (!connection.isUsable) continue
      proven()
      events.live(sentAt)
      await pause(settings.heartbeatMs - (performance.now() - sentAt), this.#stopping.signal)
    }
  }

  #hear(channel: unknown, payload: unknown, beat: Beat): void {
    const { events } = this.#context
    const isInvalidation = Buffer.isBuffer(channel) && channel.equals(INVALIDATE)
    if (isInvalidation && payload === null) {
      events.unknown()
      return
    }
    if (!isInvalidation || !Array.isArray(payload) || !payload.every(key => Buffer.isBuffer(key))) {
      events.dropped()
      return
    }
    for (const key of payload) events.changed(key)
    for (const key of payload) beat.heard(key)
  }

  #explain(failure: CommandFailure): StoreUnavailable {
    return new StoreUnavailable(`changes at ${this.#context.place} are not heard: ${failure.message}`, {
      cause: failure,
    })
  }
}
