import { Redis } from 'ioredis'
import { type BusLine, startBusLine } from './cluster-bus.js'
import { eventually } from './eventually.js'
import { freePort, type RedisServer, startRedisServer } from './redis-server.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

/** A server of a Cluster, with a client to it. */
export interface ClusterMember {
  readonly server: RedisServer
  readonly admin: Redis
  /** Node id in the Cluster. */
  readonly id: string
  /** Port by which the others know it: that of its server, unless the Cluster can be divided. */
  readonly knownPort: number
}

/** A member, and how the others reach it. */
interface Member extends ClusterMember {
  readonly lines: Lines | undefined
}

/** Ways to a member that only the others take: the bus, and its own port, as replicas use it. */
interface Lines {
  readonly bus: BusLine
  readonly port: TcpProxy
  close(): Promise<void>
}

export interface ClusterOptions {
  readonly masters?: number
  /** Whether members can be cut off from each other. Clients then need a `natMap` from their known ports to others. */
  readonly isDivisible?: boolean
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
  /** Cuts a member off from all others, while clients reach it as before. Ends with the call of what is returned. */
  isolate(member: ClusterMember): () => void
  flush(): Promise<void>
  stop(): Promise<void>
}

/** Starts masters that share all slots, and resolves when they agree on it. */
export async function startRedisCluster({
  masters = 3,
  isDivisible = false,
}: ClusterOptions = {}): Promise<RedisCluster> {
  const members = await Promise.all(Array.from({ length: masters }, () => startMember(isDivisible)))
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
      const member = await startMember(isDivisible)
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
    isolate({ id }) {
      const set = (isCut: boolean): void => {
        for (const member of members) {
          member.lines!.bus.block(sender => isCut && (sender === id) !== (member.id === id))
          if (member.id !== id) continue
          if (isCut) member.lines!.port.freeze()
          else member.lines!.port.resume()
        }
      }
      set(true)
      return () => set(false)
    },
    async flush() {
      await Promise.all(members.map(({ admin }) => admin.flushall().catch(() => {})))
    },
    async stop() {
      for (const { admin } of members) admin.disconnect()
      await Promise.all(members.flatMap(({ server, lines }) => [server.stop(), lines?.close()]))
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

async function startMember(isDivisible: boolean): Promise<Member> {
  const busPort = await freePort()
  const lines = isDivisible ? await startLines(busPort) : undefined
  const server = await startRedisServer([
    ...['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-node-timeout', '1000'],
    ...['--cluster-require-full-coverage', 'no'],
    ...(lines === undefined ? [] : ['--cluster-announce-port', String(lines.port.port)]),
    ...(lines === undefined ? [] : ['--cluster-announce-bus-port', String(lines.bus.port)]),
  ])
  lines?.port.retarget(server.port)
  const admin = new Redis(server.port, { retryStrategy: () => 50 })
  admin.on('error', () => {})
  return { server, admin, id: await admin.cluster('MYID'), knownPort: lines?.port.port ?? server.port, lines }
}

async function startLines(busPort: number): Promise<Lines> {
  const [bus, port] = await Promise.all([startBusLine(busPort), startTcpProxy(0)])
  return { bus, port, close: async () => void (await Promise.all([bus.close(), port.close()])) }
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
