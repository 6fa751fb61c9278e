import type { ClusterClient } from './client.js'
import type { Connection, Reply } from './connection.js'
import { CommandFailure } from './failure.js'
import type { Lane } from './lane.js'
import { tagFor } from './slots.js'
import { type Address, mapAddress, placeOf } from './template.js'

/** A master of a Cluster. */
export interface Master {
  /** Where to reach it from here: `host:port`, after `natMap`. Names it for us. */
  readonly place: string
  readonly owns: (slot: number) => boolean
}

/** Who owns which slots, in the view of one node. */
export interface Topology {
  readonly masters: readonly Master[]
  /** Equal for views that have the same masters, whatever their slots. */
  readonly mastersText: string
  /** Node ids of the masters and their replicas. */
  readonly ids: ReadonlySet<string>
  /** Grows with each failover, as far as that node knows; `undefined` where it does not tell. */
  readonly epoch: number | undefined
}

/** What one node said when it was asked for its view. */
export interface ToldView {
  /** The reply to CLUSTER SLOTS. */
  readonly slots: Reply
  /** The reply to CLUSTER INFO. */
  readonly info: Reply | undefined
  /** The node: it may not know its own host. */
  readonly asked: Address
  readonly options: ClusterClient['options']
}

/** How a watch looks at the Cluster. */
export interface ClusterView {
  /** The view that counts. */
  readonly topology: Topology | undefined
  laneAt(place: string): Lane
  open(place: string, name: string, signal: AbortSignal): Promise<Connection>
  /** Asks one node for its view, which counts from now on unless it is older; resolves with it in any case. */
  ask(place: string, timeoutMs: number): Promise<Topology>
  /** Asks all; resolves with the view that counts then. */
  refresh(): Promise<Topology>
}

/** The address in `host:port`, IPv6 without brackets as Redis writes it. */
export function addressOf(place: string): Address {
  const colon = place.lastIndexOf(':')
  return { host: place.slice(0, colon), port: Number(place.slice(colon + 1)) }
}

type ToldNode = readonly [host: Buffer | null, port: number, id?: Buffer]

/** Reads what a node said. */
export function readTopology({ slots, info, asked, options }: ToldView): Topology {
  const ranges = new Map<string, (readonly [first: number, last: number])[]>()
  const named: string[] = []
  const ids = new Set<string>()
  for (const entry of slots as readonly (readonly Reply[])[]) {
    const [first, last, ...nodes] = entry as readonly [number, number, ToldNode, ...ToldNode[]]
    for (const [, , id] of nodes) if (id !== undefined) ids.add(id.toString())
    const [master] = nodes
    const known = master[0]?.toString() ?? ''
    const place = placeOf(
      mapAddress(options, { host: known === '' || known === '?' ? asked.host : known, port: master[1] }),
    )
    const owned = ranges.get(place)
    if (owned === undefined) {
      ranges.set(place, [[first, last]])
      named.push(`${place} ${master[2]?.toString() ?? ''}`)
    } else owned.push([first, last])
  }
  if (ranges.size === 0) throw new CommandFailure('unsent', 'no cluster node owns any slot')
  const masters = [...ranges].map(([place, owned]) => ({
    place,
    owns: (slot: number) => owned.some(([first, last]) => slot >= first && slot <= last),
  }))
  const epoch = Buffer.isBuffer(info) ? /^cluster_current_epoch:(\d+)\r?$/m.exec(info.toString())?.[1] : undefined
  return {
    masters,
    mastersText: named.sort().join('\n'),
    ids,
    epoch: epoch === undefined ? undefined : Number(epoch),
  }
}

/** Whether a view is known to be older than another. Those that share no node are of different Clusters. */
export function isOlder(view: Topology, than: Topology | undefined): boolean {
  if (view.epoch === undefined || than?.epoch === undefined || view.epoch >= than.epoch) return false
  return [...view.ids].some(id => than.ids.has(id))
}

/** End of a key that this master owns, by what is known of its slots. */
export function keyEndFor(topology: Topology | undefined, place: string): string {
  const master = topology?.masters.find(each => each.place === place)
  if (master === undefined) throw new CommandFailure('unsent', `${place} is no master`)
  return tagFor(master.owns)
}
