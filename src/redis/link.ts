import { StoreUnavailable } from '../errors.js'
import type { StoreLink } from '../store/types.js'
import type { Connection } from './connection.js'
import { CommandFailure, lossOf } from './failure.js'
import type { KeySpace } from './keys.js'
import type { Lane, Open } from './lane.js'
import type { RedisSettings } from './options.js'
import { Backoff, pause } from './time.js'

/** What a connection reports of the changes of one server. */
export interface News {
  /** A key was changed. */
  changed(redisKey: Buffer): void
  /** Anything may have changed: the connection was set up, or everything was flushed. */
  unknown(): void
  /** Something arrived that tells of no change. */
  dropped(): void
}

/** Resolves when everything up to the moment of the call was heard; rejects when that cannot be shown in time. */
export type Prove = () => Promise<void>

/** Has a connection hear of changes: none that comes after it has resolved is missed. */
export type Arm = (connection: Connection, news: News) => Promise<Prove>

/** What it takes to hear of the changes of one server. */
export interface SourceContext {
  readonly settings: RedisSettings
  readonly keys: KeySpace
  /** Way to the data of that server. Asked for each time: one that was not needed for a while is closed. */
  readonly lane: () => Lane
  /** Put behind each beat's key, so that the server owns it: a hash tag in a Cluster, `''` elsewhere. */
  readonly keyEnd: () => string
}

/** What a link reports. Never called for a connection that is over. */
export interface LinkEvents extends News {
  /** Everything up to `at`, on the clock of `performance.now()`, has been heard. */
  live(at: number): void
  /** Changes are no longer heard. */
  blind(): void
  /** Why an attempt to hear changes ended. */
  failed(error: StoreUnavailable): void
}

/** What a link needs. */
export interface LinkContext {
  readonly settings: RedisSettings
  /** Opens a connection to hear through. */
  readonly open: Open
  readonly arm: Arm
  /** Address of the server, for messages. */
  readonly place: () => string
  /** Checked along with each beat; rejects when the link must be given up for another reason. */
  readonly verify?: () => Promise<void>
  readonly events: LinkEvents
}

/**
 * Hears of the changes that one server makes, through a connection of its own.
 *
 * Each connection is an epoch: open, arm, report `unknown`, then beat after beat report `live`.
 * At the first failure of any step the connection is destroyed, `blind` is reported if it was live, and after a pause
 * the next epoch begins.
 */
export class Link {
  readonly #context: LinkContext
  readonly #backoff: Backoff
  readonly #stopping: AbortController = new AbortController()
  readonly #running: Promise<void>
  #state: 'live' | 'blind' = 'blind'
  #at = -Infinity

  constructor(context: LinkContext) {
    this.#context = context
    this.#backoff = new Backoff(context.settings.reconnectMinMs, context.settings.reconnectMaxMs)
    this.#running = this.#run(this.#stopping.signal)
  }

  /** Whether changes are heard, and up to which moment they have been. */
  get status(): StoreLink {
    return { server: this.#context.place(), state: this.#state, at: this.#at }
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
    const { arm, events } = this.#context
    const stop = (): void => connection.destroy(new CommandFailure('lost', 'store is closed'))
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    let liveSince: number | undefined
    const lost = connection.lost.then(loss => {
      this.#state = 'blind'
      if (liveSince !== undefined && !signal.aborted) events.blind()
      throw loss
    })
    try {
      const beats = arm(connection, events).then(prove => {
        events.unknown()
        return this.#beat(prove, () => (liveSince ??= performance.now()), connection)
      })
      return await Promise.race([beats, lost])
    } finally {
      signal.removeEventListener('abort', stop)
      if (liveSince !== undefined) this.#backoff.reset(performance.now() - liveSince)
    }
  }

  async #beat(prove: Prove, proven: () => void, connection: Connection): Promise<never> {
    const { settings, events, verify } = this.#context
    for (;;) {
      if (!connection.isUsable) throw new CommandFailure('lost', 'connection closed')
      const sentAt = performance.now()
      await Promise.all([prove(), verify?.()])
      if (!connection.isUsable) continue
      proven()
      this.#state = 'live'
      this.#at = sentAt
      events.live(sentAt)
      await pause(settings.heartbeatMs - (performance.now() - sentAt), this.#stopping.signal)
    }
  }

  #explain(failure: CommandFailure): StoreUnavailable {
    return new StoreUnavailable(`changes at redis ${this.#context.place()} are not heard: ${failure.message}`, {
      cause: failure,
    })
  }
}
