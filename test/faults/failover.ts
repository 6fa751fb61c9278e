import type { Redis } from 'ioredis'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { type Fault, type Moment, moment } from './fault.js'
import { adminOf, type Lines, LineWorld, linesTo, NODES, revoking } from './lines.js'
import { type NodeProcess, takeNodes } from './node-process.js'

/** A master with a replica, and the line on which the master would follow it in turn. */
class PairWorld extends LineWorld {
  readonly replica: RedisServer
  readonly successor: Redis
  readonly between: TcpProxy
  readonly #master: Redis

  private constructor(
    pair: readonly [RedisServer, RedisServer],
    lines: readonly Lines[],
    between: TcpProxy,
    nodes: NodeProcess[],
  ) {
    super(pair[0], lines, nodes)
    this.#master = this.admin
    this.replica = pair[1]
    this.successor = adminOf(this.replica)
    this.between = between
  }

  /** Starts both, with the right not yet given, and resolves when the one follows the other. */
  static async startPair(): Promise<PairWorld> {
    const options = ['--repl-ping-replica-period', '1']
    const pair = [await startRedisServer(options), await startRedisServer(options)] as const
    const world = new PairWorld(pair, await linesTo(pair[0]), await startTcpProxy(pair[1].port), takeNodes(NODES))
    await revoking(world.admin).exec()
    await world.successor.replicaof('127.0.0.1', pair[0].port)
    const info = (): Promise<string> => world.successor.info('replication')
    await eventually(async () => (await info()).includes('master_link_status:up'), 'it replicates')
    return world
  }

  /** Makes the replica the master that everybody writes to. */
  async promote(): Promise<void> {
    await this.successor.replicaof('NO', 'ONE')
    this.admin = this.successor
  }

  /** Leads all nodes to the new master, as an address that moves does. */
  moveNodes(): void {
    for (const line of this.all) {
      line.retarget(this.replica.port)
      line.cut()
    }
  }

  override async close(): Promise<void> {
    try {
      await super.close()
    } finally {
      for (const admin of [this.#master, this.successor]) admin.disconnect()
      await Promise.all([this.replica.stop(), this.between.close()])
    }
  }
}

export const FAILOVER_FAULTS: readonly Fault<PairWorld>[] = [
  {
    name: 'failover that loses the last writes',
    async start() {
      const world = await PairWorld.startPair()
      // What gives the right is written to the master only, which dies before it could pass it on.
      await world.successor.replicaof('NO', 'ONE')
      return world
    },
    strike: world =>
      moment(async () => {
        await world.server.kill()
        await world.promote()
        world.moveNodes()
      }),
  },
  {
    name: 'split: a master without its replicas (`min-replicas-to-write 1`) goes on answering',
    async start() {
      const world = await PairWorld.startPair()
      await world.admin.config('SET', 'min-replicas-to-write', '1')
      const info = (): Promise<string> => world.admin.info('replication')
      await eventually(async () => (await info()).includes('min_slaves_good_slaves:1'), 'the replica is counted')
      return world
    },
    strike: promoteAlone,
    heal: world => world.moveNodes(),
  },
  {
    name: 'a master made a replica of its successor, and far behind it, goes on answering',
    start: () => PairWorld.startPair(),
    async strike(world) {
      world.between.freeze()
      await world.admin.replicaof('127.0.0.1', world.between.port)
      return promoteAlone(world)
    },
    heal: world => world.moveNodes(),
  },
]

/** Promotes the replica, and revokes the right there, while all nodes stay with the old master. */
async function promoteAlone(world: PairWorld): Promise<Moment> {
  await world.promote()
  return world.revoke()
}
