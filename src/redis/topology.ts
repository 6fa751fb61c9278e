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
}

/** How a watch looks at the Cluster. */
export interface ClusterView {
  /** The view adopted last. */
  readonly topology: Topology | undefined
  laneAt(place: string): Lane
  open(place: string, name: string, signal: AbortSignal): Promise<Connection>
  ask(place: string, timeoutMs: number): Promise<Topology>
  refresh(): Promise<Topology>
}

/** The address in `host:port`, IPv6 without brackets as Redis writes it. */
export function addressOf(place: string): Address {
  const colon = place.lastIndexOf(':')
  return { host: place.slice(0, colon), port: Number(place.slice(colon + 1)) }
}

/** Reads the reply to CLUSTER SLOTS; a node that does not know its own host gets that of `asked`. */
export function readTopology(reply: Reply, asked: Address, options: ClusterClient['options']): Topology {
  const ranges = new Map<string, (readonly [first: number, last: number])[]>()
  const ids: string[] = []
  for (const entry of reply as readonly (readonly Reply[])[]) {
    const [first, last, node] = entry as readonly [number, number, readonly [Buffer | null, number, Buffer | undefined]]
    const known = node[0]?.toString() ?? ''
    const place = placeOf(
      mapAddress(options, { host: known === '' || known === '?' ? asked.host : known, port: node[1] }),
    )
    const owned = ranges.get(place)
    if (owned === undefined) {
      ranges.set(place, [[first, last]])
      ids.push(`${place} ${node[2]?.toString() ?? ''}`)
    } else owned.push([first, last])
  }
  if (ranges.size === 0) throw new CommandFailure('unsent', 'no cluster node owns any slot')
  const masters = [...ranges].map(([place, owned]) => ({
    place,
    owns: (slot: number) => owned.some(([first, last]) => slot >= first && slot <= last),
  }))
  return { masters, mastersText: ids.sort().join('\n') }
}

/** End of a key that this master owns, by what is known of its slots. */
export function keyEndFor(topology: Topology | undefined, place: string): string {
  const master = topology?.masters.find(each => each.place === place)
  if (master === undefined) throw new CommandFailure('unsent', `${place} is no master`)
  return tagFor(master.owns)
}
