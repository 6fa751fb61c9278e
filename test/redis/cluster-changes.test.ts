import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RecordKey } from '../../src/record/types.js'
import { recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type ClusterMember, type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { slotOfRecord, Targets, THIRDS, writeOn } from './cluster-support.js'
import { Heard, Stores } from './support.js'
import { Traffic } from './traffic.js'

let cluster: RedisCluster
const targets = new Targets()
const stores = new Stores()

afterEach(async () => {
  await stores.close()
  targets.end()
})

describe('a Redis store on a Cluster that changes', () => {
  beforeEach(async () => {
    cluster = await startRedisCluster()
  })
  afterEach(() => cluster.stop())

  it('hears of changes on a master that joined and was given slots', async () => {
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    await heard.live()
    const [moving] = THIRDS as [RecordKey]
    const joined = await cluster.join()
    const from = heard.events.length
    await cluster.moveSlot(slotOfRecord(moving), cluster.members[0]!, joined)
    await heard.until('the links were set up anew', () => heard.story(from).includes('unknown') && heard.isLive)
    expect(heard.story(from)).toContain('blind')
    const position = heard.events.length
    await writeOn(joined, moving, 'on the new master')
    await heard.until('the change is heard', () => heard.changed(moving, position))
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('on the new master')
  })

  it('follows a failover to the new master', async () => {
    const replica = await cluster.join(cluster.members[0]!)
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    const [moving] = THIRDS as [RecordKey]
    await store.put(moving, recordOf('before'))
    await heard.live()
    await replica.admin.cluster('FAILOVER', 'TAKEOVER')
    await heard.blind()
    await heard.live()
    const position = heard.events.length
    await writeOn(replica, moving, 'after')
    await heard.until('the change is heard', () => heard.changed(moving, position))
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('after')
    const clientsOf = async ({ admin }: ClusterMember) => String(await admin.client('LIST'))
    const former = cluster.members[0]!
    await eventually(async () => !(await clientsOf(former)).includes(' name=mqtt-warden:'), 'the former master is left')
  })

  it('refuses what is on its way to a master that nobody listens to yet', async () => {
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    await heard.live()
    const [moving] = THIRDS as [RecordKey]
    const joined = await cluster.join()
    const finish = await cluster.moveKeys(slotOfRecord(moving), cluster.members[0]!, joined)
    await expect(store.get(moving)).rejects.toThrow(StoreUnavailable)
    await expect(store.put(moving, recordOf('a'))).rejects.toThrow(/"ASK /)
    await finish()
    await eventually(
      () =>
        store.put(moving, recordOf('a')).then(
          () => true,
          () => false,
        ),
      'it can be written',
    )
    await heard.until('it is listened to', () => heard.isLive && store.links().length === 4)
  })

  it('follows a failover during traffic, with nothing read from before it', async () => {
    const replica = await cluster.join(cluster.members[0]!)
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    const [moving] = THIRDS as [RecordKey]
    await heard.live()
    const traffic = new Traffic(store, moving, THIRDS.slice(1))
    const { written } = traffic
    await heard.until('there is traffic', () => written.length > 3)
    const from = heard.events.length
    await cluster.members[0]!.server.kill()
    await heard.blind()
    await heard.until('the link follows', () => heard.story(from).includes('unknown') && heard.isLive)
    const count = written.length
    await eventually(() => written.length > count + 3, 'writes succeed again')
    await traffic.stop()
    expect(await replica.admin.get(encodeRecordKey(moving))).toContain(`"${written.at(-1)}"`)
    const position = heard.events.length
    await writeOn(replica, moving, 'by another tool')
    await heard.until('the change is heard', () => heard.changed(moving, position))

    await cluster.members[0]!.server.restart()
    await eventually(
      async () => (await cluster.members[0]!.admin.info('replication')).includes('role:slave'),
      'it is back',
    )
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('by another tool')
    expect(store.links().map(({ server }) => server)).not.toContain(`127.0.0.1:${cluster.members[0]!.server.port}`)
  })

  it.each([
    ['writes beats', ['+set', '~mqtt-warden:beat:*']],
    ['only reads', ['+client|list']],
  ])('goes blind on a master that was left alone, as a user that %s', async (_, rights) => {
    const rules = ['resetkeys', 'resetchannels', '-@all', '~\\["*', '&mqtt-warden:#', '+ping', '+getrange']
    const more = ['+pttl', '+client|id', '+client|tracking', '+subscribe', '+cluster|slots', ...rights]
    for (const { admin } of cluster.members) await admin.call('ACL', 'SETUSER', 'guest', 'on', '>pw', ...rules, ...more)
    const [alone, ...others] = cluster.members as [ClusterMember, ...ClusterMember[]]
    const redisOptions = { username: 'guest', password: 'pw' }
    const store = stores.create(targets.of([alone], { redisOptions }))
    const heard = new Heard(store)
    await heard.live()
    for (const { server } of others) server.freeze()
    const link = () => store.links().find(({ server }) => server === `127.0.0.1:${alone.server.port}`)
    await heard.until('the link to it is blind', () => link()?.state === 'blind')
    expect(await alone.admin.cluster('INFO')).toContain('cluster_state:fail')
    expect(await alone.admin.ping()).toBe('PONG')
    await expect(store.get(THIRDS[0]!)).rejects.toThrow(StoreUnavailable)
    for (const { server } of others) server.thaw()
    await heard.live()
  })

  it('goes on with the other masters when one is gone, but is blind', async () => {
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    await heard.live()
    await cluster.members[0]!.server.kill()
    await heard.blind()
    await eventually(
      () =>
        store.get(THIRDS[0]!).then(
          () => false,
          reason => reason instanceof StoreUnavailable,
        ),
      'it is missed',
    )
    expect(await store.get(THIRDS[1]!)).toBeUndefined()
    expect(heard.isLive).toBe(false)
  })
})
