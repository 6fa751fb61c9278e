import type { Connection } from './connection.js'
import { CommandFailure, lossOf } from './failure.js'
import { type Backoff, pause, within } from './time.js'

/** Opens one connection; gives up when the signal is aborted. */
export type Open = (signal: AbortSignal) => Promise<Connection>

/**
 * The way to the data of one server: one connection at a time, opened on first use and again whenever it is lost.
 *
 * Nothing is queued for later. A caller waits for a first attempt to connect; once an attempt has failed, callers fail
 * at once until another has succeeded.
 */
export class Lane {
  readonly #open: Open
  readonly #backoff: Backoff
  readonly #closing: AbortController = new AbortController()
  readonly #apart: Set<Connection> = new Set()
  #connection: Connection | undefined
  #since = 0
  #attempt: Promise<Connection> | undefined
  /** Why the last attempt failed, or the connection was lost and is not tried again at once. */
  #down: CommandFailure | undefined
  /** The pause before the next attempt. */
  #pausing: AbortController | undefined

  constructor(open: Open, backoff: Backoff) {
    this.#open = open
    this.#backoff = backoff
  }

  /**
   * Resolves with a connection that can be used now. With `isServerUp` the caller knows better than the last attempt
   * that the server can be reached: another is made at once.
   */
  async acquire(waitMs: number, isServerUp = false): Promise<Connection> {
    if (this.#closing.signal.aborted) throw closed()
    if (this.#connection?.isUsable) return this.#connection
    // Its end may not have been announced yet.
    if (this.#connection !== undefined) this.#drop(this.#connection, new CommandFailure('lost', 'connection closed'))
    if (this.#down !== undefined && !isServerUp) {
      throw new CommandFailure('unsent', this.#down.message, { cause: this.#down })
    }
    if (this.#pausing !== undefined) this.#attempt = undefined
    try {
      return await within(this.#attempt ?? this.#connect(), waitMs, () => {
        return new CommandFailure('lost', `no connection within ${waitMs} ms`)
      })
    } catch (error) {
      if (this.#closing.signal.aborted) throw closed()
      const failure = lossOf(error)
      throw new CommandFailure('unsent', failure.message, { cause: failure })
    }
  }

  /** Opens a connection beside the one that is shared. Whoever asked for it destroys it. */
  async openApart(): Promise<Connection> {
    if (this.#closing.signal.aborted) throw closed()
    try {
      const connection = await this.#open(this.#closing.signal)
      this.#apart.add(connection)
      void connection.lost.then(() => this.#apart.delete(connection))
      return connection
    } catch (error) {
      const failure = lossOf(error)
      throw new CommandFailure('unsent', failure.message, { cause: failure })
    }
  }

  /** Ends the connection and all attempts; resolves when its socket is closed. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#pausing?.abort()
    for (const connection of this.#apart) connection.destroy(closed())
    const connection = this.#connection ?? (await this.#attempt?.catch(() => undefined))
    connection?.destroy(closed())
    await connection?.ended
  }

  #connect(): Promise<Connection> {
    this.#pausing?.abort()
    this.#pausing = undefined
    const attempt = this.#open(this.#closing.signal).then(connection => {
      this.#connection = connection
      this.#since = performance.now()
      this.#down = undefined
      void connection.lost.then(loss => this.#drop(connection, loss))
      return connection
    })
    this.#attempt = attempt
    attempt.catch(error => {
      this.#down = lossOf(error)
      this.#retry(this.#down, this.#backoff.next())
    })
    return attempt
  }

  /** Gives a connection up, once. The first loss after a good time is followed by an attempt at once. */
  #drop(connection: Connection, loss: CommandFailure): void {
    if (this.#connection !== connection) return
    this.#connection = undefined
    this.#attempt = undefined
    connection.destroy(loss)
    this.#backoff.reset(performance.now() - this.#since)
    this.#retry(loss, this.#backoff.next())
  }

  #retry(reason: CommandFailure, waitMs: number): void {
    const { signal } = this.#closing
    if (signal.aborted) return
    if (waitMs === 0) {
      void this.#connect()
      return
    }
    this.#down = reason
    const pausing = new AbortController()
    this.#pausing = pausing
    void pause(waitMs, pausing.signal).then(() => {
      if (!signal.aborted && this.#pausing === pausing) void this.#connect()
    })
  }
}

function closed(): CommandFailure {
  return new CommandFailure('unsent', 'store is closed')
}
