import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RecordKey } from '../../src/record/types.js'
import type { RedisTarget } from '../../src/redis/index.js'
import { eventually } from '../helpers/eventually.js'
import { type ClusterMember, type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'
import { Targets, THIRDS, writeOn } from './cluster-support.js'
import { Heard, PATIENT, Stores } from './support.js'

/** How a store reaches the members of a Cluster whose network can be divided. */
interface Ways {
  readonly target: RedisTarget
  portOf(member: ClusterMember): number
  close(): Promise<void>
}

let cluster: RedisCluster
const targets = new Targets()
const stores = new Stores()

afterEach(async () => {
  await stores.close()
  targets.end()
})

describe('a Redis store on a Cluster whose network is divided', () => {
  beforeEach(async () => {
    cluster = await startRedisCluster({ isDivisible: true })
  })
  afterEach(() => cluster.stop())

  /** Ways to the members of which some are slow, and where they lead to by the ports that are known. */
  async function waysWith(slow: readonly ClusterMember[]): Promise<Ways> {
    const lines = new Map(
      await Promise.all(slow.map(async member => [member, await startTcpProxy(member.server.port)] as const)),
    )
    for (const line of lines.values()) line.delay(15)
    const portOf = (member: ClusterMember): number => lines.get(member)?.port ?? member.server.port
    const natMap = Object.fromEntries(
      cluster.members.map(each => [`127.0.0.1:${each.knownPort}`, { host: '127.0.0.1', port: portOf(each) }]),
    )
    const seeds = cluster.members.slice(0, 3).map(each => ({ ...each, server: { ...each.server, port: portOf(each) } }))
    return {
      target: targets.of(seeds, { natMap }),
      portOf,
      close: async () => void (await Promise.all([...lines.values()].map(line => line.close()))),
    }
  }

  it('hears of the successor of a master in the minority, although that one still says that it is the master', async () => {
    const [master] = cluster.members as [ClusterMember]
    const replica = await cluster.join(master)
    // What it says comes last.
    const ways = await waysWith([master])
    const heard = new Heard(stores.create(ways.target))
    await heard.live()
    const [moving] = THIRDS as [RecordKey]
    const rejoin = cluster.isolate(master)
    await eventually(async () => (await replica.admin.role())[0] === 'master', 'the replica has taken over')
    expect((await master.admin.role())[0]).toBe('master')
    await heard.until('the links were set up anew', () => heard.story().filter(kind => kind === 'live').length > 1)
    await heard.live()
    const position = heard.events.length
    await writeOn(replica, moving, 'at the successor')
    await heard.until('the change is heard', () => heard.changed(moving, position))
    rejoin()
    await ways.close()
  })

  it('does not return to a master in the minority, although that one answers before all others', async () => {
    const [master, ...others] = cluster.members as [ClusterMember, ...ClusterMember[]]
    const replica = await cluster.join(master)
    const ways = await waysWith([...others, replica])
    const store = stores.create(ways.target, PATIENT)
    const heard = new Heard(store)
    await heard.live()
    const [moving] = THIRDS as [RecordKey]
    const rejoin = cluster.isolate(master)
    await eventually(async () => (await replica.admin.role())[0] === 'master', 'the replica has taken over')
    const successor = `127.0.0.1:${ways.portOf(replica)}`
    const isFollowed = () => heard.isLive && store.links().some(({ server }) => server === successor)
    await heard.until('the successor is listened to', isFollowed)
    const position = heard.events.length
    await writeOn(replica, moving, 'at the successor')
    for (let times = 0; times < 5; times++) {
      // Has all nodes asked again.
      const servers = new Set((await store.check()).map(({ server }) => server))
      expect(servers).not.toContain(`127.0.0.1:${ways.portOf(master)}`)
      expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('at the successor')
    }
    expect((await master.admin.role())[0]).toBe('master')
    expect(heard.story(position)).not.toContain('blind')
    rejoin()
    await ways.close()
  })
})
