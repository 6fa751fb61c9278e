import { StoreUnavailable } from '../errors.js'
import type { StoreLink } from '../store/types.js'
import { CommandFailure, lossOf } from './failure.js'
import { Heard } from './heard.js'
import type { KeySpace } from './keys.js'
import { Link, type LinkEvents } from './link.js'
import type { RedisSettings } from './options.js'
import { slotOf } from './slots.js'
import { createSource } from './source.js'
import { Backoff, pause } from './time.js'
import { type ClusterView, isOlder, keyEndFor, type Topology } from './topology.js'

/** What a watch over a Cluster needs. */
export interface ClusterWatchContext {
  readonly nodes: ClusterView
  readonly settings: RedisSettings
  readonly keys: KeySpace
  readonly events: LinkEvents
}

/**
 * Hears the changes of a whole Cluster: one link for each master, live while all of them are; with a channel, one link
 * to the master that has it.
 *
 * Tracking belongs to a server, not to a slot: a slot that moves between masters with a link stays heard. A master that
 * has no link is found by asking every master for its view along with each beat; then all links are set up anew.
 */
export class ClusterWatch {
  readonly #context: ClusterWatchContext
  readonly #stopping: AbortController = new AbortController()
  readonly #running: Promise<void>
  #links: readonly Link[] = []

  constructor(context: ClusterWatchContext) {
    this.#context = context
    this.#running = this.#run(this.#stopping.signal)
  }

  links(): readonly StoreLink[] {
    return this.#links.map(link => link.status)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { nodes, settings, events } = this.#context
    const backoff = new Backoff(settings.reconnectMinMs, settings.reconnectMaxMs)
    while (!signal.aborted) {
      const since = performance.now()
      try {
        await this.#hear(await nodes.refresh(), signal)
      } catch (error) {
        const cause = lossOf(error)
        if (!signal.aborted) {
          events.failed(new StoreUnavailable(`changes in the cluster are not heard: ${cause.message}`, { cause }))
        }
      }
      backoff.reset(performance.now() - since)
      await pause(backoff.next(), signal)
    }
  }

  /** Resolves when there are other masters than these, or the watch is stopped. */
  async #hear(topology: Topology, signal: AbortSignal): Promise<void> {
    const { events } = this.#context
    const places = this.#places(topology)
    const generation = new AbortController()
    const end = (): void => generation.abort()
    signal.addEventListener('abort', end, { once: true })
    const heard = new Heard(places.length, events)
    this.#links = places.map(place => this.#link(place, topology, heard, end))
    await new Promise<void>(resolve => {
      if (signal.aborted || generation.signal.aborted) resolve()
      generation.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    signal.removeEventListener('abort', end)
    if (!signal.aborted) events.blind()
    await Promise.all(this.#links.map(link => link.stop()))
  }

  /** The masters to listen to. */
  #places({ masters }: Topology): readonly string[] {
    const { settings, keys } = this.#context
    if (settings.invalidation === 'tracking') return masters.map(({ place }) => place)
    const slot = slotOf(Buffer.from(keys.channel))
    const owner = masters.find(master => master.owns(slot))
    if (owner === undefined) throw new CommandFailure('unsent', `no cluster node owns slot ${slot}`)
    return [owner.place]
  }

  #link(place: string, topology: Topology, heard: Heard, end: () => void): Link {
    const { nodes, settings, keys, events } = this.#context
    const compare = (view: Topology): void => {
      if (view.mastersText === topology.mastersText && this.#places(view).includes(place)) return
      end()
      throw new CommandFailure('lost', 'the cluster has other masters now')
    }
    const keyEnd = (): string => keyEndFor(nodes.topology, place)
    return new Link({
      settings,
      place: () => place,
      arm: createSource({ settings, keys, lane: () => nodes.laneAt(place), keyEnd }),
      open: signal => nodes.open(place, 'link', signal),
      verify: async () => {
        const view = await nodes.ask(place, settings.heartbeatTimeoutMs)
        compare(isOlder(view, nodes.topology) ? nodes.topology! : view)
      },
      events: {
        ...events,
        live: at => heard.live(place, at),
        blind: () => heard.blind(place),
        failed: error => {
          events.failed(error)
          // A master that is gone has a successor that others know.
          nodes
            .refresh()
            .then(compare)
            .catch(() => {})
        },
      },
    })
  }
}
