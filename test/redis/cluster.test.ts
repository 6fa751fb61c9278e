import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RecordKey } from '../../src/record/types.js'
import { slotOf } from '../../src/redis/slots.js'
import { key, recordOf } from '../contract/record-store.js'
import { type ClusterMember, type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { slotOfRecord, Targets, THIRDS, writeOn } from './cluster-support.js'
import { FAST, Heard, PATIENT, Stores, textOf } from './support.js'

let cluster: RedisCluster
const targets = new Targets()
const stores = new Stores(PATIENT)

afterEach(async () => {
  await stores.close()
  targets.end()
})

describe('a Redis store on a Cluster', () => {
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  beforeEach(() => cluster.flush())
  afterAll(() => cluster.stop())

  it('hears of changes on every master, and of a flush of one', async () => {
    const heard = new Heard(stores.create(targets.of(cluster.members)))
    await heard.live()
    for (const [at, each] of THIRDS.entries()) await writeOn(cluster.members[at]!, each, 'a')
    await heard.until('all are heard', () => THIRDS.every(each => heard.changed(each)))
    const from = heard.events.length
    await cluster.members[2]!.admin.flushall()
    await heard.until('the flush is heard', () => heard.count('unknown', from) > 0)
    expect(heard.isLive).toBe(true)
  })

  it('finds a record that has moved to another master, and hears of it there without a break', async () => {
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    const [moving] = THIRDS as [RecordKey]
    await store.put(moving, recordOf('before'))
    await heard.live()
    const [from, to] = cluster.members as [ClusterMember, ClusterMember]
    await cluster.moveSlot(slotOfRecord(moving), from, to)
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('before')
    const position = heard.events.length
    await writeOn(to, moving, 'after')
    await heard.until('the change is heard', () => heard.changed(moving, position))
    await store.put(moving, recordOf('own'))
    expect(await to.admin.get(encodeRecordKey(moving))).toContain('"own"')
    expect(heard.story(position)).not.toContain('blind')
    await cluster.moveSlot(slotOfRecord(moving), to, from)
  })

  it('reads, writes and hears of a record whose slot is on its way to another master', async () => {
    const store = stores.create(targets.of(cluster.members))
    const heard = new Heard(store)
    const moving = THIRDS[1]!
    await store.put(moving, recordOf('before'))
    await heard.live()
    const [from, to] = [cluster.members[1], cluster.members[2]] as [ClusterMember, ClusterMember]
    const finish = await cluster.moveKeys(slotOfRecord(moving), from, to)
    expect((await store.get(moving))?.publishAcl[0]?.pattern).toBe('before')
    const position = heard.events.length
    const tool = to.admin.pipeline().call('ASKING').set(encodeRecordKey(moving), textOf('by another tool'))
    await tool.exec()
    await heard.until('the change is heard', () => heard.changed(moving, position))
    await store.put(moving, recordOf('own'))
    const stored = await store.getStored(moving)
    expect(stored?.record.publishAcl[0]?.pattern).toBe('own')
    await store.put(moving, recordOf('matched'), { ifMatch: stored!.digest })
    expect(await store.delete(moving)).toMatchObject({ replaced: true })
    expect(await store.get(moving)).toBeUndefined()
    await store.put(moving, recordOf('again'))
    await finish()
    expect(await to.admin.get(encodeRecordKey(moving))).toContain('"again"')
    expect(heard.story(position)).not.toContain('blind')
    await cluster.moveSlot(slotOfRecord(moving), to, from)
  })

  it('reads several records at once whose slot is on its way to another master', async () => {
    const store = stores.create(targets.of(cluster.members))
    // What stands in braces decides the slot: they have one of their own.
    const moving = Array.from({ length: 5 }, (_, at) => key(`{moving}${at}`))
    await Promise.all(moving.map(each => store.put(each, recordOf(each.clientId))))
    const slot = slotOfRecord(moving[0]!)
    const owner = Math.floor(slot / 5_462)
    const [from, to] = [cluster.members[owner], cluster.members[(owner + 1) % 3]] as [ClusterMember, ClusterMember]
    const finish = await cluster.moveKeys(slot, from, to)
    const records = await Promise.all(moving.map(each => store.get(each)))
    expect(records.map(record => record?.publishAcl[0]?.pattern)).toEqual(moving.map(({ clientId }) => clientId))
    await finish()
    await cluster.moveSlot(slot, to, from)
  })

  it('reads very many records at once from each master in few pieces, moved ones among them', async () => {
    const store = stores.create(targets.of(cluster.members))
    const many = [...THIRDS, ...Array.from({ length: 297 }, (_, at) => key(`many${at}`))]
    await Promise.all(many.map(each => store.put(each, recordOf(each.clientId))))
    const [from, to] = cluster.members as [ClusterMember, ClusterMember]
    const slot = slotOfRecord(THIRDS[0]!)
    await cluster.moveSlot(slot, from, to)
    const stats = () => Promise.all(cluster.members.map(({ admin }) => admin.info('commandstats')))
    const callsOf = async (command: string) =>
      (await stats()).map(text => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text)?.[1] ?? 0))
    const before = await callsOf('getrange')
    const records = await Promise.all(many.map(each => store.get(each)))
    expect(records.map(record => record?.publishAcl[0]?.pattern)).toEqual(many.map(({ clientId }) => clientId))
    const calls = (await callsOf('getrange')).map((count, at) => count - before[at]!)
    // Every master was asked for its own; what had moved was asked for once more, where it is.
    expect(calls.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(many.length)
    expect(Math.min(...calls)).toBeGreaterThan(50)
    await cluster.moveSlot(slot, to, from)
  })

  it('reads the records of the masters that answer while another does not', async () => {
    const store = stores.create(targets.of(cluster.members), { ...FAST, commandTimeoutMs: 200 })
    for (const each of THIRDS) await store.put(each, recordOf('a'))
    const { server } = cluster.members[1]!
    server.freeze()
    const reads = await Promise.allSettled(THIRDS.flatMap(each => [store.get(each), store.get(each)]))
    server.thaw()
    expect(reads.map(({ status }) => status)).toEqual(
      ['fulfilled', 'rejected', 'fulfilled'].flatMap(status => [status, status]),
    )
  })

  it('lists the records of all masters', async () => {
    const store = stores.create(targets.of(cluster.members))
    for (const each of THIRDS) await store.put(each, recordOf('a'))
    const found: RecordKey[] = []
    for await (const each of store.scan()) found.push(each)
    expect(found).toHaveLength(3)
    expect(found).toEqual(expect.arrayContaining([...THIRDS]))
  })

  it('is not listed in part where one of its nodes is taken for a single server', async () => {
    const node = stores.create(cluster.members[0]!.server.url)
    await expect(node.scan()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: 'redis is one of a Cluster, and has a part of the records only',
    })
  })

  it('is blind while one of the links is down', async () => {
    const heard = new Heard(stores.create(targets.of(cluster.members), FAST))
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
    const client = targets.of(cluster.members.slice(0, 1), {
      natMap: place => {
        asked.push(place)
        return outside.find(([inside]) => inside === place)?.[1] ?? null
      },
    })
    const store = stores.create(client)
    for (const each of THIRDS) await store.put(each, recordOf('a'))
    expect(new Set(asked)).toEqual(new Set(outside.map(([inside]) => inside)))
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
