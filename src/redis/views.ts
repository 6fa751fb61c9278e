import type { ClusterClient, Command } from './client.js'
import { CommandFailure, lossOf } from './failure.js'
import type { Lane } from './lane.js'
import { addressOf, isOlder, readTopology, type Topology } from './topology.js'

/** The epoch before the slots: a view is never taken for newer than it is. */
const VIEW: readonly Command[] = [
  ['cluster', 'info'],
  ['cluster', 'slots'],
]

/** What it takes to ask the nodes of a Cluster. */
export interface ViewsContext {
  /** Nodes to begin with. */
  readonly seeds: readonly string[]
  readonly options: ClusterClient['options']
  readonly timeoutMs: number
  laneAt(place: string): Lane
}

/**
 * The view of a Cluster that counts, of those that its nodes tell: never one that is older than the one before it, so
 * that a master that a partition has left alone with an old order is not believed by whoever reaches both sides.
 *
 * Views are told apart by the epoch of the Cluster, which grows with each failover. Where the user may not ask for it,
 * the view that was told last counts.
 */
export class ClusterViews {
  readonly #context: ViewsContext
  /** Nodes that refused to tell their epoch: a refusal with each beat would fill the server's log. */
  readonly #secretive: Set<string> = new Set()
  #topology: Topology | undefined
  #refreshing: Promise<Topology> | undefined

  constructor(context: ViewsContext) {
    this.#context = context
  }

  /** The view that counts. */
  get topology(): Topology | undefined {
    return this.#topology
  }

  /** Asks one node for its view, and adopts it unless it is older. */
  async ask(place: string, timeoutMs: number): Promise<Topology> {
    const view = await this.#view(place, timeoutMs)
    this.#adopt(view)
    return view
  }

  /**
   * Adopts the view of whichever node answers first with one that is not older, of the masters that are known and the
   * nodes to begin with; resolves with the view that counts then.
   *
   * @param settled Called when all nodes have answered, or failed to.
   */
  refresh(settled: () => void): Promise<Topology> {
    this.#refreshing ??= this.#askAny(settled).finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #askAny(settled: () => void): Promise<Topology> {
    const known = this.#topology
    const masters = known?.masters.map(({ place }) => place) ?? []
    const { seeds, timeoutMs } = this.#context
    this.#secretive.clear()
    const asked = [...new Set([...masters, ...seeds])].map(place => this.#view(place, timeoutMs))
    const believed = asked.map(async told => {
      const view = await told
      if (isOlder(view, this.#topology)) throw new CommandFailure('unsent', 'all that answered tell of an old order')
      return view
    })
    try {
      // Not those that come later: where epochs are not told, one may be of a node that was left alone with an old view.
      const topology = this.#adopt(await Promise.any(believed))
      void Promise.allSettled(asked).then(settled)
      return topology
    } catch (error) {
      // Most of the very masters that are known are back at an older epoch: the Cluster was set up again from a backup.
      const views = (await Promise.allSettled(asked)).map(told =>
        told.status === 'fulfilled' ? told.value : undefined,
      )
      const returned = views.slice(0, masters.length).filter(view => view !== undefined)
      if (returned.length * 2 > masters.length && this.#topology === known) {
        this.#topology = returned.reduce((newest, view) => (isOlder(newest, view) ? view : newest))
        return this.#topology
      }
      const cause = lossOf((error as AggregateError).errors[0])
      throw new CommandFailure('unsent', `no cluster node can be asked: ${cause.message}`, { cause })
    }
  }

  #adopt(view: Topology): Topology {
    if (this.#topology === undefined || !isOlder(view, this.#topology)) this.#topology = view
    return this.#topology
  }

  /** How one node sees the Cluster. */
  async #view(place: string, timeoutMs: number): Promise<Topology> {
    const { laneAt, options } = this.#context
    const connection = await laneAt(place).acquire(timeoutMs)
    const commands = this.#secretive.has(place) ? VIEW.slice(1) : VIEW
    const replies = await connection.requestAll(commands, timeoutMs)
    const [info, slots] = replies.length === 1 ? [undefined, replies[0]!] : [replies[0], replies[1]!]
    if (slots instanceof CommandFailure) throw slots
    if (info instanceof CommandFailure) this.#secretive.add(place)
    return readTopology({ slots, info, asked: addressOf(place), options })
  }
}
