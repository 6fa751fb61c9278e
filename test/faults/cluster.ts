import { Cluster } from 'ioredis'
import { slotOf } from '../../src/redis/slots.js'
import { type ClusterMember, type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { type Fault, type Moment, moment, type World } from './fault.js'
import { NODES, nameOf, textOf } from './lines.js'
import { type NodeProcess, takeNodes } from './node-process.js'
import { CLIENTS, type Client, DELETED, FRESH, NARROWED, RIGHT, ROLE } from './protocol.js'

/** Three masters with three nodes. */
export class ClusterWorld implements World {
  readonly cluster: RedisCluster
  readonly nodes: NodeProcess[] = takeNodes(NODES)
  /** Follows the Cluster wherever the records go. */
  readonly writer: Cluster

  constructor(cluster: RedisCluster) {
    this.cluster = cluster
    const places = cluster.members.map(({ server }) => ({ host: '127.0.0.1', port: server.port }))
    this.writer = new Cluster(places, { slotsRefreshInterval: 100, slotsRefreshTimeout: 500 })
    this.writer.on('error', () => {})
  }

  static async start(): Promise<ClusterWorld> {
    return new ClusterWorld(await startRedisCluster())
  }

  /** The master that had a slot at the start. */
  ownerOf(slot: number): ClusterMember {
    return this.cluster.members[Math.floor(slot / Math.ceil(16_384 / 3))]!
  }

  async grant(): Promise<void> {
    await Promise.all(CLIENTS.map(client => this.writer.set(nameOf(client), textOf(RIGHT))))
  }

  revoke(): Promise<Moment> {
    return this.revokeAt(owner => owner)
  }

  /** Revokes at those who have taken over from the owners of the records. */
  revokeAt(successorOf: (owner: ClusterMember) => ClusterMember): Promise<Moment> {
    const at = (client: Client): ClusterMember['admin'] =>
      successorOf(this.ownerOf(slotOf(Buffer.from(nameOf(client))))).admin
    return moment(() =>
      Promise.all([
        at(NARROWED).set(nameOf(NARROWED), textOf('other')),
        at(DELETED).del(nameOf(DELETED)),
        at(ROLE).set(nameOf(ROLE), textOf('other')),
      ]),
    )
  }

  async refresh(): Promise<void> {
    await this.writer.set(nameOf(NARROWED), textOf(FRESH))
  }

  async open(node: NodeProcess): Promise<void> {
    await node.call('open', { cluster: this.cluster.members.slice(0, 3).map(({ server }) => server.port) })
  }

  async close(): Promise<void> {
    try {
      await Promise.all(this.nodes.map(node => node.release()))
    } finally {
      this.writer.disconnect()
      await this.cluster.stop()
    }
  }
}

/** Where the records are. */
export const SLOTS: readonly number[] = CLIENTS.map(client => slotOf(Buffer.from(nameOf(client))))

export const CLUSTER_FAULTS: readonly Fault<ClusterWorld>[] = [
  {
    name: 'slots moved to a master that is new',
    start: () => ClusterWorld.start(),
    async strike(world) {
      const joined = await world.cluster.join()
      for (const slot of SLOTS) await world.cluster.moveSlot(slot, world.ownerOf(slot), joined)
      return world.revokeAt(() => joined)
    },
  },
]
