import { Redis } from 'ioredis'
import { eventually } from './eventually.js'
import { freePort, type RedisServer, startRedisServer } from './redis-server.js'

/** A server of a Cluster, with a client to it. */
export interface ClusterMember {
  readonly server: RedisServer
  readonly admin: Redis
  /** Node id in the Cluster. */
  readonly id: string
}

/** A Redis Cluster of the test's own. */
export interface RedisCluster {
  /** The masters it began with, then those that joined. */
  readonly members: readonly ClusterMember[]
  /** Starts a server that joins without slots; with `master`, as its replica. */
  join(master?: ClusterMember): Promise<ClusterMember>
  /** Moves the keys of a slot to another master, which does not own it before what is resolved with is called. */
  moveKeys(slot: number, from: ClusterMember, to: ClusterMember): Promise<() => Promise<void>>
  /** Hands a slot, with the keys in it, from one master to another. */
  moveSlot(slot: number, from: ClusterMember, to: ClusterMember): Promise<void>
  flush(): Promise<void>
  stop(): Promise<void>
}

/** Starts masters that share all slots, and resolves when they agree on it. */
export async function startRedisCluster(masters = 3): Promise<RedisCluster> {
  const members = await Promise.all(Array.from({ length: masters }, startMember))
  const share = Math.ceil(16_384 / masters)
  for (const [at, { admin }] of members.entries()) {
    await admin.cluster('SET-CONFIG-EPOCH', at + 1)
    await admin.cluster('ADDSLOTSRANGE', at * share, Math.min(16_384, (at + 1) * share) - 1)
    if (at > 0) await meet(members[0]!, members[at]!)
  }
  await agreed(members)
  return {
    members,
    async join(master) {
      const member = await startMember()
      await meet(members[0]!, member)
      members.push(member)
      await agreed(members)
      if (master !== undefined) {
        await member.admin.cluster('REPLICATE', master.id)
        await eventually(
          async () => (await member.admin.info('replication')).includes('master_link_status:up'),
          'it replicates',
        )
      }
      return member
    },
    moveKeys,
    async moveSlot(slot, from, to) {
      const finish = await moveKeys(slot, from, to)
      await finish()
    },
    async flush() {
      await Promise.all(members.map(({ admin }) => admin.flushall().catch(() => {})))
    },
    async stop() {
      for (const { admin } of members) admin.disconnect()
      await Promise.all(members.map(({ server }) => server.stop()))
    },
  }
}

async function moveKeys(slot: number, from: ClusterMember, to: ClusterMember): Promise<() => Promise<void>> {
  await to.admin.cluster('SETSLOT', slot, 'IMPORTING', from.id)
  await from.admin.cluster('SETSLOT', slot, 'MIGRATING', to.id)
  const keys = (await from.admin.cluster('GETKEYSINSLOT', slot, 1_000)) as string[]
  for (const key of keys) await from.admin.migrate('127.0.0.1', to.server.port, key, 0, 5_000)
  return async () => {
    await to.admin.cluster('SETSLOT', slot, 'NODE', to.id)
    await from.admin.cluster('SETSLOT', slot, 'NODE', to.id)
  }
}

async function startMember(): Promise<ClusterMember> {
  const busPort = String(await freePort())
  const options = ['--cluster-enabled', 'yes', '--cluster-port', busPort, '--cluster-node-timeout', '1000']
  const server = await startRedisServer([...options, '--cluster-require-full-coverage', 'no'])
  const admin = new Redis(server.port, { retryStrategy: () => 50 })
  admin.on('error', () => {})
  return { server, admin, id: await admin.cluster('MYID') }
}

async function meet(known: ClusterMember, joining: ClusterMember): Promise<void> {
  const busPort = /@(\d+)/.exec(String(await known.admin.cluster('NODES')))![1]!
  await joining.admin.call('CLUSTER', 'MEET', '127.0.0.1', String(known.server.port), busPort)
}

/** Resolves when every member knows all the others, and that the Cluster works. */
async function agreed(members: readonly ClusterMember[]): Promise<void> {
  await eventually(async () => {
    const infos = await Promise.all(members.map(({ admin }) => admin.cluster('INFO')))
    // Works, for one that does not need all slots, before it has heard whose all of them are.
    const wanted = ['state:ok', 'slots_assigned:16384\r', `known_nodes:${members.length}\r`]
    return infos.every(info => wanted.every(text => info.includes(text)))
  }, 'the cluster is complete')
}
