import { Cluster } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RecordKey } from '../../src/record/types.js'
import type { RedisTarget } from '../../src/redis/index.js'
import { slotOf } from '../../src/redis/slots.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type ClusterMember, type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { Heard, Stores, textOf } from './support.js'

let cluster: RedisCluster
const clients: { disconnect(): void }[] = []
const stores = new Stores()

const target = (of: RedisCluster = cluster): RedisTarget => {
  const nodes = of.members.map(({ server }) => ({ host: '127.0.0.1', port: server.port }))
  const client = new Cluster(nodes, { lazyConnect: true })
  clients.push(client)
  return client
}

const slot = (each: RecordKey): number => slotOf(Buffer.from(encodeRecordKey(each)))

/** A key in each third of the slots: the parts of the three masters at the start. */
const THIRDS: readonly RecordKey[] = [0, 1, 2].map(third => {
  for (let n = 0; ; n++) if (Math.floor(slot(key(`c${n}`)) / 5_462) === third) return key(`c${n}`)
})

/** Writes a record as another tool would, on the member that owns it. */
async function writeOn(member: ClusterMember, each: RecordKey, pattern: string): Promise<void> {
  await member.admin.set(encodeRecordKey(each), textOf(pattern))
}

afterEach(async () => {
  await stores.close()
  for (const client of clients.splice(0)) client.disconnect()
})

describe('a Redis store on a Cluster', () => {
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  beforeEach(() => cluster.flush())
  afterAll(() => cluster.stop())

  it('hears of changes on every master, and of a flush of one', async () => {
    const heard = new Heard(stores.create(target()))
    await heard.live()
    for (const [at, each] of THIRDS.entries()) await writeOn(cluster.members[at]!, each, 'a')
    await heard.until('all are heard', () => THIRDS.every(each => heard.changed(each)))
    const from = heard.events.length
    await cluster.members[2]!.admin.flushall()
    await heard.until('the flush is heard', () => heard.count('unknown', from) > 0)
    expect(heard.isLive).toBe(true)
  })

  it('finds a record that has moved to another master, and hears of it there without a break', async () => {
    const store = stores.create(target())
    const heard = new Heard(store)
    const [moving] = THIRDS as [RecordKey]
    await store.put(moving, recordOf('before'))
    await heard.live()
    const [from, to] = cluster.members as [ClusterMember, ClusterMember]
    await cluster.moveSlot(slot(moving), from, to)
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('before')
    const position = heard.events.length
    await writeOn(to, moving, 'after')
    await heard.until('the change is heard', () => heard.changed(moving, position))
    await store.put(moving, recordOf('own'))
    expect(await to.admin.get(encodeRecordKey(moving))).toContain('"own"')
    expect(heard.story(position)).not.toContain('blind')
    await cluster.moveSlot(slot(moving), to, from)
  })

  it('lists the records of all masters', async () => {
    const store = stores.create(target())
    for (const each of THIRDS) await store.put(each, recordOf('a'))
    const found: RecordKey[] = []
    for await (const each of store.scan()) found.push(each)
    expect(found).toHaveLength(3)
    expect(found).toEqual(expect.arrayContaining([...THIRDS]))
  })

  it('is blind while one of the links is down', async () => {
    const heard = new Heard(stores.create(target()))
    await heard.live()
    const { server } = cluster.members[1]!
    server.freeze()
    await heard.blind()
    server.thaw()
    await heard.live()
  })

  it('follows the natMap of the Cluster', async () => {
    const outside = cluster.members.map(
      ({ server }, at) => [`127.0.0.1:${server.port}`, { host: 'localhost', port: server.port }, at] as const,
    )
    const asked: string[] = []
    const client = new Cluster([{ host: '127.0.0.1', port: cluster.members[0]!.server.port }], {
      lazyConnect: true,
      natMap: place => {
        asked.push(place)
        return outside.find(([inside]) => inside === place)?.[1] ?? null
      },
    })
    clients.push(client)
    const store = stores.create(client)
    for (const each of THIRDS) await store.put(each, recordOf('a'))
    expect(new Set(asked)).toEqual(new Set(outside.map(([inside]) => inside)))
  })
})

describe('a Redis store on a Cluster that changes', () => {
  beforeEach(async () => {
    cluster = await startRedisCluster()
  })
  afterEach(() => cluster.stop())

  it('hears of changes on a master that joined and was given slots', async () => {
    const store = stores.create(target())
    const heard = new Heard(store)
    await heard.live()
    const [moving] = THIRDS as [RecordKey]
    const joined = await cluster.join()
    const from = heard.events.length
    await cluster.moveSlot(slot(moving), cluster.members[0]!, joined)
    await heard.until('the links were set up anew', () => heard.story(from).includes('unknown') && heard.isLive)
    expect(heard.story(from)).toContain('blind')
    const position = heard.events.length
    await writeOn(joined, moving, 'on the new master')
    await heard.until('the change is heard', () => heard.changed(moving, position))
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('on the new master')
  })

  it('follows a failover to the new master', async () => {
    const replica = await cluster.join(cluster.members[0]!)
    const store = stores.create(target())
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
  })

  it('goes on with the other masters when one is gone, but is blind', async () => {
    const store = stores.create(target())
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

describe('the slot of a key', () => {
  it.each([
    ['123456789', 0x31c3 % 16_384],
    ['foo', 12_182],
    ['{foo}bar', 12_182],
    ['x{foo}y{bar}', 12_182],
    ['foo{}{bar}', 8_363],
    ['', 0],
  ])('of %j is %d', (text, expected) => {
    expect(slotOf(Buffer.from(text))).toBe(expected)
  })
})
