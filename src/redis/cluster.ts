import type { ClusterClient, NodeClient } from './client.js'
import { ClusterWatch } from './cluster-watch.js'
import type { Connection } from './connection.js'
import { CommandFailure, lossOf } from './failure.js'
import type { KeySpace } from './keys.js'
import { Lane } from './lane.js'
import type { LinkEvents } from './link.js'
import type { Nodes, RecordServer, Watching } from './nodes.js'
import type { RedisSettings } from './options.js'
import { slotOf } from './slots.js'
import { type Address, mapAddress, nodeTemplate, openLike, placeOf } from './template.js'
import { Backoff, within } from './time.js'
import { addressOf, type ClusterView, keyEndFor, type Topology } from './topology.js'
import { ClusterViews } from './views.js'

/** The masters of a Cluster, each with a lane of its own; replicas are never asked. */
export class ClusterNodes implements Nodes, ClusterView {
  readonly #options: ClusterClient['options']
  readonly #template: NodeClient
  readonly #seeds: readonly string[]
  readonly #settings: RedisSettings
  readonly #keys: KeySpace
  readonly #lanes: Map<string, Lane> = new Map()
  readonly #watches: Set<ClusterWatch> = new Set()
  readonly #views: ClusterViews
  #closed = false

  constructor(cluster: ClusterClient, settings: RedisSettings, keys: KeySpace) {
    const seeds = cluster.startupNodes.map(node => nodeTemplate(cluster, node))
    this.#options = cluster.options
    this.#template = seeds[0]!
    this.#seeds = seeds.map(({ options }) => placeOf(options as Address))
    this.#settings = settings
    this.#keys = keys
    this.#views = new ClusterViews({
      seeds: this.#seeds,
      options: cluster.options,
      timeoutMs: settings.commandTimeoutMs,
      laneAt: place => this.laneAt(place),
    })
  }

  get topology(): Topology | undefined {
    return this.#views.topology
  }

  async laneOf(redisKey: Buffer): Promise<Lane> {
    const topology = this.topology ?? (await this.#refreshInTime())
    const slot = slotOf(redisKey)
    const owner = topology.masters.find(master => master.owns(slot))
    if (owner === undefined) throw new CommandFailure('unsent', `no cluster node owns slot ${slot}`)
    return this.laneAt(owner.place)
  }

  get place(): string {
    return this.#seeds.join(', ')
  }

  async servers(): Promise<readonly RecordServer[]> {
    const { masters } = await this.#refreshInTime()
    return masters.map(({ place }) => ({
      kind: 'cluster',
      place: () => place,
      lane: this.laneAt(place),
      open: (name, signal) => this.open(place, name, signal),
      keyEnd: () => keyEndFor(this.topology, place),
    }))
  }

  async redirected({ code, movedTo }: CommandFailure): Promise<'owner' | Lane | undefined> {
    const place = movedTo === undefined ? undefined : placeOf(mapAddress(this.#options, addressOf(movedTo)))
    if (code === 'ASK') return this.#laneOfMaster(place)
    if (code !== 'MOVED') return undefined
    try {
      // The node that is said to own the key knows best how things stand.
      const told = await (place === undefined
        ? this.#refreshInTime()
        : this.ask(place, this.#settings.commandTimeoutMs))
      // Of an epoch that others are ahead of, it may still be right about its own.
      return told === this.topology ? 'owner' : this.#laneOfMaster(place)
    } catch (error) {
      throw new CommandFailure('unsent', lossOf(error).message, { cause: error })
    }
  }

  /** Nobody listens to a master without slots yet: what was read there would never be heard to change. */
  #laneOfMaster(place: string | undefined): Lane | undefined {
    const master = this.topology?.masters.find(each => each.place === place)
    return master === undefined ? undefined : this.laneAt(master.place)
  }

  watch(events: LinkEvents): Watching {
    const watch = new ClusterWatch({ nodes: this, settings: this.#settings, keys: this.#keys, events })
    this.#watches.add(watch)
    return {
      links: () => watch.links(),
      stop: async () => {
        await watch.stop()
        this.#watches.delete(watch)
      },
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#watches].map(watch => watch.stop()))
    await Promise.all([...this.#lanes.values()].map(lane => lane.close()))
  }

  /** The lane to one node, made when first needed. */
  laneAt(place: string): Lane {
    if (this.#closed) throw new CommandFailure('unsent', 'store is closed')
    let lane = this.#lanes.get(place)
    if (lane === undefined) {
      const backoff = new Backoff(this.#settings.reconnectMinMs, this.#settings.reconnectMaxMs)
      lane = new Lane(signal => this.open(place, 'data', signal), backoff)
      this.#lanes.set(place, lane)
    }
    return lane
  }

  /** Opens a connection to one node. */
  open(place: string, name: string, signal: AbortSignal): Promise<Connection> {
    return openLike(this.#template, this.#settings, { name, signal, address: addressOf(place) })
  }

  ask(place: string, timeoutMs: number): Promise<Topology> {
    return this.#views.ask(place, timeoutMs)
  }

  refresh(): Promise<Topology> {
    return this.#views.refresh(() => this.#closeUnused())
  }

  #refreshInTime(): Promise<Topology> {
    const timeoutMs = this.#settings.commandTimeoutMs
    return within(this.refresh(), timeoutMs, () => {
      return new CommandFailure('unsent', `no cluster node answered within ${timeoutMs} ms`)
    })
  }

  /** Gives up the lanes to nodes that are masters no more. */
  #closeUnused(): void {
    for (const [place, lane] of this.#lanes) {
      if (this.topology?.masters.some(master => master.place === place)) continue
      this.#lanes.delete(place)
      void lane.close()
    }
  }
}
