import type { NodeClient } from './client.js'
import type { Connection } from './connection.js'
import { CommandFailure } from './failure.js'
import type { RedisSettings } from './options.js'
import { Sentinels } from './sentinels.js'
import { addressText, openLike, placeOf, readSentinels } from './template.js'

/** The one server that has the records. */
export interface Server {
  /** Its address, or that of the server that had its part last; for people. */
  readonly place: string
  /** The sentinels that say which server it is. */
  readonly sentinels?: Sentinels
  open(name: string, signal: AbortSignal): Promise<Connection>
  /** Resolves while the connections that were opened lead to it. */
  verify?(): Promise<void>
  close(): Promise<void>
}

/** A server at an address, or the master that sentinels name. */
export function createServer(template: NodeClient, settings: RedisSettings): Server {
  const sentinels = readSentinels(template)
  if (sentinels !== undefined) return new SentinelMaster(template, settings, new Sentinels(sentinels, settings))
  return {
    place: addressText(template),
    open: (name, signal) => openLike(template, settings, { name, signal }),
    close: async () => {},
  }
}

/**
 * The master that most sentinels name, for as long as they do.
 *
 * A master that was cut off together with us from most of the sentinels goes on answering, with rights that have been
 * revoked at its successor meanwhile. Its connections, also those that only read, are given up as soon as most
 * sentinels name another master or cannot be asked.
 */
class SentinelMaster implements Server {
  readonly sentinels: Sentinels
  readonly #template: NodeClient
  readonly #settings: RedisSettings
  readonly #places: Map<Connection, string> = new Map()
  #place: string

  constructor(template: NodeClient, settings: RedisSettings, sentinels: Sentinels) {
    this.#template = template
    this.#settings = settings
    this.sentinels = sentinels
    this.#place = sentinels.name
  }

  get place(): string {
    return this.#place
  }

  async open(name: string, signal: AbortSignal): Promise<Connection> {
    const address = await this.sentinels.master(this.#settings.connectTimeoutMs)
    const place = placeOf(address)
    const connection = await openLike(this.#template, this.#settings, { name, signal, address })
    try {
      await this.#demandMaster(connection, place)
    } catch (error) {
      connection.destroy(error)
      throw error
    }
    this.#place = place
    this.#places.set(connection, place)
    void connection.lost.then(() => this.#places.delete(connection))
    return connection
  }

  async verify(): Promise<void> {
    try {
      const place = placeOf(await this.sentinels.master(this.#settings.heartbeatTimeoutMs))
      const moved = new CommandFailure('lost', `the sentinels name ${place} as master now`)
      for (const [connection, at] of this.#places) if (at !== place) connection.destroy(moved)
    } catch (error) {
      for (const connection of [...this.#places.keys()]) connection.destroy(error)
      throw error
    }
  }

  close(): Promise<void> {
    return this.sentinels.close()
  }

  /** Sentinels name a server before it is told to be master, and one that came back before it is told to be none. */
  async #demandMaster(connection: Connection, place: string): Promise<void> {
    const info = await connection.request(['info', 'replication'], this.#settings.commandTimeoutMs)
    if (!/^role:master\r?$/m.test(String(info))) throw new CommandFailure('unsent', `${place} is not a master yet`)
  }
}
