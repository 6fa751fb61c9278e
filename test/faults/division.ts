import { eventually } from '../helpers/eventually.js'
import { type ClusterMember, type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { ClusterWorld, SLOTS } from './cluster.js'
import type { Fault, Moment } from './fault.js'
import { NODES } from './lines.js'
import type { NodeProcess } from './node-process.js'

/** The way of one node to each member. */
type Lines = ReadonlyMap<ClusterMember, TcpProxy>

/** Three masters with three nodes, whose network can be divided: a master with records and one node from all the rest. */
class DividedWorld extends ClusterWorld {
  /** The master that is cut off, and its replica, which is not. */
  readonly master: ClusterMember
  readonly replica: ClusterMember
  readonly #lines: readonly Lines[]
  #rejoin: () => void = () => {}

  private constructor(cluster: RedisCluster, replica: ClusterMember, lines: readonly Lines[]) {
    super(cluster)
    this.master = this.ownerOf(SLOTS[0]!)
    this.replica = replica
    this.#lines = lines
  }

  static override async start(): Promise<DividedWorld> {
    const cluster = await startRedisCluster({ isDivisible: true })
    const owner = cluster.members[Math.floor(SLOTS[0]! / Math.ceil(16_384 / 3))]!
    const replica = await cluster.join(owner)
    const linesOf = async (): Promise<Lines> => {
      const lines = cluster.members.map(async each => [each, await startTcpProxy(each.server.port)] as const)
      return new Map(await Promise.all(lines))
    }
    return new DividedWorld(cluster, replica, await Promise.all(Array.from({ length: NODES }, linesOf)))
  }

  /** The first node stays with the master; `reach` tells whether it reaches the others too. */
  divide(reach: 'one side' | 'both sides'): void {
    this.#rejoin = this.cluster.isolate(this.master)
    for (const [at, lines] of this.#lines.entries()) {
      for (const [member, line] of lines) {
        const isWithMaster = at === 0
        const isReached = (member === this.master) === isWithMaster || (isWithMaster && reach === 'both sides')
        if (!isReached) line.freeze()
      }
    }
  }

  rejoin(): void {
    this.#rejoin()
    for (const lines of this.#lines) for (const line of lines.values()) line.resume()
  }

  /** Revokes at the replica in place of its master. */
  async revokeAtSuccessor(): Promise<Moment> {
    await eventually(async () => (await this.replica.admin.role())[0] === 'master', 'the replica has taken over')
    return this.revokeAt(owner => (owner === this.master ? this.replica : owner))
  }

  override async open(node: NodeProcess): Promise<void> {
    const lines = [...this.#lines[this.nodes.indexOf(node)]!]
    const instead = Object.fromEntries(lines.map(([{ knownPort }, { port }]) => [knownPort, port]))
    await node.call('open', { cluster: lines.slice(0, 3).map(([, { port }]) => port), instead })
  }

  override async close(): Promise<void> {
    try {
      await super.close()
    } finally {
      await Promise.all(this.#lines.flatMap(lines => [...lines.values()].map(line => line.close())))
    }
  }
}

const division = (name: string, reach: Parameters<DividedWorld['divide']>[0]): Fault<DividedWorld> => ({
  name,
  start: () => DividedWorld.start(),
  async strike(world) {
    world.divide(reach)
    return world.revokeAtSuccessor()
  },
  heal: world => world.rejoin(),
})

export const DIVISION_FAULTS: readonly Fault<DividedWorld>[] = [
  division('a master in the minority, replaced: a node on its side', 'one side'),
  division('a master in the minority, replaced: a node that reaches both sides', 'both sides'),
]
