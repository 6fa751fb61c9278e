import { eventually } from '../helpers/eventually.js'
import type { NodeProcess } from './node-process.js'
import { LIMITS, type Report, sharedNow } from './protocol.js'

/** When a write was sent, and when it was confirmed. It was carried out in between. */
export interface Moment {
  readonly sentAt: number
  readonly ackedAt: number
}

/** Notes when something that takes some time was done. */
export async function moment(act: () => Promise<unknown>): Promise<Moment> {
  const sentAt = sharedNow()
  await act()
  return { sentAt, ackedAt: sharedNow() }
}

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** Redis with three nodes on it. */
export interface World {
  readonly nodes: NodeProcess[]
  /** Writes the records that allow the right. */
  grant(): Promise<void>
  /** Takes the right from every client, each in its own way. */
  revoke(): Promise<Moment>
  /** Gives another right. */
  refresh(): Promise<void>
  /** Opens a node, at the place that it has among the others. */
  open(node: NodeProcess): Promise<void>
  close(): Promise<void>
}

/** One thing that can go wrong. */
export interface Fault<W extends World = World> {
  readonly name: string
  /** The bound that holds for it; that which `freshness()` tells where it is left out. */
  readonly boundMs?: number
  start(): Promise<W>
  /** Lets it go wrong and has the right revoked, at the worst moment. Tells when it was. */
  strike(world: W): Promise<Moment>
  /** Puts it right. */
  heal?(world: W): Promise<void> | void
}

/** What was seen of a fault. Times in milliseconds. */
export interface Outcome {
  readonly fault: string
  readonly boundMs: number
  /** From the moment the revoking was confirmed to the last grant anywhere; 0 if there was none. */
  readonly survivedMs: number
  /** Where that was. */
  readonly longest: string
  /** From the end of the fault, and a new right written, until all nodes grant it everywhere and hear changes again. */
  readonly recoveredMs: number
  /** The longest wait for an answer. */
  readonly slowestMs: number
  readonly crashes: readonly string[]
}

/** Lets a fault happen to nodes that hold live sessions, and looks on until they are well again. */
export async function suffer<W extends World>(fault: Fault<W>): Promise<Outcome> {
  const world = await fault.start()
  try {
    await world.grant()
    await Promise.all(world.nodes.map(node => world.open(node)))
    await all(world, 'every path grants', ({ seen }) => seen.length > 0 && rights(seen).every(one => one.isGranted))
    const [before] = await reports(world)
    const boundMs = fault.boundMs ?? before!.freshness.boundMs
    const revoked = await fault.strike(world)
    await all(world, 'every path refuses', ({ seen }) => rights(seen).every(({ isGranted }) => !isGranted))
    // While the fault lasts nothing may come back either.
    await pause(revoked.ackedAt + boundMs - sharedNow())
    await fault.heal?.(world)
    const healedAt = sharedNow()
    await world.refresh()
    await all(world, 'every node is well again', ({ recoveredAt }) => recoveredAt !== undefined)
    await pause(LIMITS.staleWindowMs / 2)
    return judge(fault.name, boundMs, revoked, healedAt, await reports(world))
  } finally {
    await world.close()
  }
}

function judge(name: string, boundMs: number, revoked: Moment, healedAt: number, told: readonly Report[]): Outcome {
  const ways = told.flatMap(({ seen }, at) => rights(seen).map(({ path, grantedAt }) => ({ at, path, grantedAt })))
  const last = ways.reduce((a, b) => (b.grantedAt > a.grantedAt ? b : a))
  return {
    fault: name,
    boundMs,
    survivedMs: Math.max(0, last.grantedAt - revoked.ackedAt),
    longest: `node ${last.at + 1}: ${last.path}`,
    recoveredMs: Math.max(0, ...told.map(({ recoveredAt }) => recoveredAt! - healedAt)),
    slowestMs: Math.max(...told.map(({ slowestMs }) => slowestMs)),
    crashes: told.flatMap(({ crashes }) => crashes),
  }
}

/** The ways in which the revoked right is asked for. */
function rights(seen: Report['seen']): Report['seen'] {
  return seen.filter(({ path }) => path.endsWith(' right'))
}

function reports({ nodes }: World): Promise<Report[]> {
  return Promise.all(nodes.map(node => node.call('report')))
}

async function all(world: World, what: string, condition: (report: Report) => boolean): Promise<void> {
  let told: Report[] = []
  try {
    await eventually(
      async () => {
        told = await reports(world)
        return told.every(condition)
      },
      what,
      20_000,
    )
  } catch (error) {
    throw new Error(`${String(error)}\n${JSON.stringify(told, undefined, 1)}`)
  }
}
