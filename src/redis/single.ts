import type { Command } from './client.js'
import type { KeySpace } from './keys.js'
import { Lane } from './lane.js'
import { Link, type LinkEvents } from './link.js'
import type { Nodes, RecordServer, Watching } from './nodes.js'
import type { RedisSettings } from './options.js'
import type { Server } from './server.js'
import { createSource } from './source.js'
import { Backoff } from './time.js'

/** One server, or the master that sentinels name. */
export class SingleNode implements Nodes {
  readonly #server: Server
  readonly witness: Command
  readonly #settings: RedisSettings
  readonly #keys: KeySpace
  readonly #lane: Lane
  readonly #links: Set<Link> = new Set()

  constructor(server: Server, settings: RedisSettings, keys: KeySpace) {
    this.#server = server
    this.#settings = settings
    this.#keys = keys
    this.witness = ['set', keys.witnessKey, '', 'xx', 'px', '1']
    const backoff = new Backoff(settings.reconnectMinMs, settings.reconnectMaxMs)
    this.#lane = new Lane(signal => server.open('data', signal), backoff)
  }

  async laneOf(): Promise<Lane> {
    return this.#lane
  }

  get place(): string {
    return this.#server.place
  }

  async servers(): Promise<readonly RecordServer[]> {
    const server = this.#server
    const { sentinels } = server
    return [
      {
        kind: sentinels === undefined ? 'single' : 'sentinel',
        ...(sentinels && { sentinels }),
        place: () => server.place,
        lane: this.#lane,
        open: (name, signal) => server.open(name, signal),
        keyEnd: () => '',
      },
    ]
  }

  async redirected(): Promise<undefined> {
    return undefined
  }

  watch(events: LinkEvents): Watching {
    const server = this.#server
    const settings = this.#settings
    const link = new Link({
      settings,
      events,
      place: () => server.place,
      open: signal => server.open('link', signal),
      arm: createSource({ settings, keys: this.#keys, lane: () => this.#lane, keyEnd: () => '' }),
      verify: async () => server.verify?.(),
    })
    this.#links.add(link)
    return {
      links: () => [link.status],
      stop: async () => {
        await link.stop()
        this.#links.delete(link)
      },
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#lane.close(), this.#server.close(), ...[...this.#links].map(link => link.stop())])
  }
}
