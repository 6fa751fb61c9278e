import type { NodeClient } from './client.js'
import type { KeySpace } from './keys.js'
import { Lane } from './lane.js'
import { type LinkEvents, TrackingLink } from './link.js'
import type { Nodes, Watching } from './nodes.js'
import type { RedisSettings } from './options.js'
import { openLike } from './template.js'
import { Backoff } from './time.js'

/** One server, or the master that sentinels name. */
export class SingleNode implements Nodes {
  readonly #template: NodeClient
  readonly #settings: RedisSettings
  readonly #keys: KeySpace
  readonly #lane: Lane
  readonly #links: Set<TrackingLink> = new Set()

  constructor(template: NodeClient, settings: RedisSettings, keys: KeySpace) {
    this.#template = template
    this.#settings = settings
    this.#keys = keys
    const backoff = new Backoff(settings.reconnectMinMs, settings.reconnectMaxMs)
    this.#lane = new Lane(signal => openLike(template, settings, { name: 'data', signal }), backoff)
  }

  async laneOf(): Promise<Lane> {
    return this.#lane
  }

  async lanes(): Promise<readonly Lane[]> {
    return [this.#lane]
  }

  async redirected(): Promise<boolean> {
    return false
  }

  watch(events: LinkEvents): Watching {
    const settings = this.#settings
    const link = new TrackingLink({
      settings,
      events,
      keys: this.#keys,
      lane: this.#lane,
      keyEnd: () => '',
      place: 'redis',
      open: signal => openLike(this.#template, settings, { name: 'link', signal }),
    })
    this.#links.add(link)
    return {
      stop: async () => {
        await link.stop()
        this.#links.delete(link)
      },
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#lane.close(), ...[...this.#links].map(link => link.stop())])
  }
}
