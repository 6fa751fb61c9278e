import { Cluster, Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RedisCheck, RedisFinding, RedisTarget } from '../../src/redis/index.js'
import { checkInfo } from '../../src/redis/server-info.js'
import { startRedisCluster } from '../helpers/redis-cluster.js'
import { ENGINE, freePort, type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { Heard, Stores } from './support.js'

const stores = new Stores()
let server: RedisServer
let tool: Redis
let users = 0

/** A URL for a user with these rights and no other. */
async function asUser(...rules: string[]): Promise<string> {
  const name = `user${++users}`
  await tool.call('ACL', 'SETUSER', name, 'on', '>secret', 'resetkeys', 'resetchannels', '-@all', ...rules)
  return `redis://${name}:secret@127.0.0.1:${server.port}`
}

const READER = [
  ...['~\\["*', '~mqtt-warden:beat:*', '&mqtt-warden:#', '+ping', '+getrange', '+pttl', '+scan'],
  ...['+client|id', '+client|tracking', '+subscribe', '+set', '+cluster|slots'],
]

const PARTNER = [
  ...['~mqtt-warden:nodes', '~mqtt-warden:ask:*', '~mqtt-warden:row:*', '+time', '+zadd', '+zrem'],
  ...['+zremrangebyscore', '+zrangebyscore', '+pexpire', '+getrange'],
]

function levels(findings: readonly RedisFinding[]): Partial<Record<RedisCheck, string>> {
  return Object.fromEntries(findings.map(({ check, level }) => [check, level]))
}

const ALL_OK = {
  connection: 'ok',
  version: 'ok',
  topology: 'ok',
  eviction: 'ok',
  read: 'ok',
  write: 'ok',
  shared: 'ok',
  receipts: 'ok',
  counters: 'ok',
  invalidation: 'ok',
  clock: 'ok',
}

beforeAll(async () => {
  server = await startRedisServer()
  tool = new Redis(server.port)
})
afterEach(() => stores.close())
afterAll(async () => {
  tool.disconnect()
  await server.stop()
})

describe('the check of a Redis store', () => {
  it('finds nothing wrong with a plain Redis, and leaves nothing behind', async () => {
    await tool.flushall()
    const monitor = await tool.monitor()
    const written: string[] = []
    monitor.on('monitor', (_time, args: string[]) => written.push(args.join(' ')))
    const findings = await stores.create(server.url).check()
    expect(levels(findings)).toEqual(ALL_OK)
    expect(findings.find(({ check }) => check === 'version')?.message).toMatch(new RegExp(`^${ENGINE} \\d+\\.\\d+`))
    expect(new Set(findings.map(({ server: at }) => at))).toEqual(new Set([`127.0.0.1:${server.port}`]))
    expect(findings.find(({ check }) => check === 'invalidation')?.message).toMatch(
      /^a change is heard after [\d.]+ ms$/,
    )
    const keys = await tool.keys('*')
    expect(keys.filter(name => !name.startsWith('mqtt-warden:beat:'))).toEqual([])
    expect(written.some(line => line.startsWith('set ["mqtt-warden"'))).toBe(true)
    monitor.disconnect()
  })

  it.each<[string, string[], Partial<Record<RedisCheck, string>>]>([
    [
      'reads and watches',
      READER,
      {
        ...{ read: 'ok', write: 'info', invalidation: 'ok', version: 'info', clock: 'info' },
        ...{ shared: 'info', receipts: 'info', counters: 'info' },
      },
    ],
    [
      'shares owners',
      [...READER, '~mqtt-warden:shared:*', '+get', '+del', '+eval'],
      { shared: 'ok', receipts: 'info' },
    ],
    ['takes part in receipts', [...READER, ...PARTNER], { shared: 'info', receipts: 'ok' }],
    ['counts', [...READER, '~mqtt-warden:throttle:*', '+get', '+incrby', '+expire', '+eval'], { counters: 'ok' }],
    ['may not list', READER.filter(rule => rule !== '+scan'), { read: 'info' }],
    ['may not read', READER.filter(rule => rule !== '+getrange'), { read: 'failed' }],
    ['may not track', READER.filter(rule => rule !== '+client|tracking'), { invalidation: 'failed' }],
    ['may do all', ['~*', '&*', '+@all'], ALL_OK],
  ])('tells what a user is short of that %s', async (_, rules, expected) => {
    const findings = await stores.create(await asUser(...rules)).check()
    expect(levels(findings)).toMatchObject(expected)
    for (const { level, remedy } of findings) if (level === 'failed') expect(remedy).toMatch(/^grant /)
  })

  it('names the rights that are missing beyond those to records', async () => {
    const findings = await stores.create(await asUser(...READER, '~mqtt-warden:nodes', '+time', '+zadd')).check()
    const remedies = new Map(findings.map(({ check, remedy }) => [check, remedy]))
    expect(remedies.get('shared')).toMatch(/grant \+get ~mqtt-warden:shared:\S+ \+del \+eval$/)
    const receipts = remedies.get('receipts')?.split(' grant ')[1]?.split(' ')
    expect(receipts).toEqual(expect.arrayContaining(['+zrem', '+zremrangebyscore', '+zrangebyscore', '+pexpire']))
    expect(receipts).not.toContain('+zadd')
  })

  it.each([
    ['allkeys-lru', 'it drops records, as if'],
    ['volatile-ttl', 'it drops records that expire, as if'],
  ])('warns of the eviction policy %s, once at the start of a watch and again on request', async (policy, message) => {
    const own = await startRedisServer(['--maxmemory', '50mb', '--maxmemory-policy', policy])
    const store = stores.create(own.url)
    const heard = new Heard(store)
    const told = () => heard.events.flatMap(event => (event.type === 'error' ? [event] : []))
    await heard.until('the warning is told', () => told().length > 0)
    expect(told()[0]).toMatchObject({ place: 'redis check', error: { code: 'ERR_WARDEN' } })
    expect(String(told()[0]?.error)).toContain(message)
    const admin = new Redis(own.port)
    const { unknowns } = store.stats()
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await heard.until('the link is set up anew', () => store.stats().unknowns > unknowns && heard.isLive)
    expect(levels(await store.check())).toEqual({ ...ALL_OK, eviction: 'warning' })
    expect(told().filter(({ place }) => place === 'redis check')).toHaveLength(1)
    admin.disconnect()
    await stores.close()
    await own.stop()
  })

  it('does without INFO where a server or a proxy has it not, and so does a listing', async () => {
    const own = await startRedisServer(['--rename-command', 'INFO', ''])
    const store = stores.create(own.url)
    expect(levels(await store.check())).toEqual({ ...ALL_OK, version: 'info', topology: 'info', eviction: 'info' })
    const listed: unknown[] = []
    for await (const key of store.scan()) listed.push(key)
    expect(listed).toEqual([])
    await stores.close()
    await own.stop()
  })

  it('says that nothing answers', async () => {
    const port = await freePort()
    const findings = await stores.create(`redis://127.0.0.1:${port}`).check()
    expect(findings).toMatchObject([{ server: `127.0.0.1:${port}`, check: 'connection', level: 'failed' }])
    expect(findings[0]?.message).toContain('ECONNREFUSED')
  })

  it('warns where changes are heard in part, or not at all', async () => {
    const channel = await stores.create(server.url, { invalidation: 'channel' }).check()
    expect(channel.find(({ check }) => check === 'invalidation')).toMatchObject({
      level: 'warning',
      message: expect.stringContaining('what others write counts within maxAgeMs'),
    })
    const store = stores.create(server.url, { invalidation: 'none' })
    const heard = new Heard(store)
    await heard.until('it is told without being asked', () => heard.count('error') > 0)
    expect(levels(await store.check())).toEqual({ ...ALL_OK, invalidation: 'warning' })
  })

  it('finds a replica, and a member of a Cluster that is taken for a single server', async () => {
    const replica = await startRedisServer(['--replicaof', '127.0.0.1', String(server.port)])
    const findings = await stores.create(replica.url).check()
    expect(levels(findings)).toMatchObject({ topology: 'failed', write: 'warning', invalidation: 'failed' })
    await stores.close()
    await replica.stop()

    const cluster = await startRedisCluster()
    const port = cluster.members[0]!.server.port
    expect(levels(await stores.create(`redis://127.0.0.1:${port}`).check())).toMatchObject({ topology: 'failed' })
    const client = new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true })
    const whole = await stores.create(client as RedisTarget).check()
    expect(new Set(whole.map(finding => finding.server)).size).toBe(3)
    expect(whole).toHaveLength(3 * (Object.keys(ALL_OK).length + 1))
    expect(whole.filter(({ check }) => check === 'epoch')).toHaveLength(3)
    expect(whole.filter(({ level }) => level !== 'ok')).toEqual([])
    const rights = ['resetkeys', 'resetchannels', '-@all', ...READER]
    for (const { admin } of cluster.members) await admin.call('ACL', 'SETUSER', 'reader', 'on', '>pw', ...rights)
    const redisOptions = { username: 'reader', password: 'pw' }
    const reader = new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true, redisOptions })
    const seen = await stores.create(reader as RedisTarget).check()
    const epochs = seen.filter(({ check }) => check === 'epoch')
    expect(epochs.map(({ level, remedy }) => [level, remedy])).toEqual(Array(3).fill(['info', 'grant +cluster|info']))
    for (const each of [client, reader]) each.disconnect()
    await stores.close()
    await cluster.stop()
  })

  it('ends with the store', async () => {
    const own = await startRedisServer()
    const store = stores.create(own.url)
    own.freeze()
    const check = store.check()
    await store.close()
    expect(levels(await check)).toMatchObject({ connection: 'failed' })
    await expect(store.check()).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' })
    await own.stop()
  })
})

describe('what a server tells of itself', () => {
  it.each([
    ['redis_version:7.0.15', 'ok', 'redis 7.0.15'],
    ['redis_version:6.2.0', 'ok', 'redis 6.2.0'],
    ['redis_version:6.0.16', 'failed', 'redis 6.0.16 is too old'],
    ['redis_version:10.0.0', 'ok', 'redis 10.0.0'],
    ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1', 'ok', 'valkey 8.0.1'],
    ['', 'info', 'not known: the server does not tell'],
  ])('of its version: %j', (text, level, message) => {
    expect(checkInfo(text, 'single')[0]).toMatchObject({ check: 'version', level, message })
  })

  const ofMaster = (...more: string[]): string => ['role:master', ...more].join('\r\n')
  const online = 'slave0:ip=10.0.0.6,port=6379,state=online,offset=90,lag=1'
  const slow = 'slave1:ip=10.0.0.7,port=6380,state=online,offset=40,lag=11'
  const syncing = 'slave2:ip=10.0.0.8,port=6379,state=wait_bgsave,offset=0,lag=0'

  it.each<[string, 'single' | 'sentinel' | 'cluster', object | undefined]>([
    [ofMaster('connected_slaves:0'), 'single', undefined],
    [ofMaster('connected_slaves:0'), 'cluster', undefined],
    [
      ofMaster('connected_slaves:0'),
      'sentinel',
      { level: 'warning', message: 'none: nothing can take over from the master', remedy: 'add a replica' },
    ],
    [
      ofMaster(online, 'master_repl_offset:100'),
      'single',
      { level: 'ok', message: '10.0.0.6:6379 heard 1 s ago, 10 bytes behind' },
    ],
    [
      ofMaster(online, slow, 'master_repl_offset:100'),
      'cluster',
      {
        level: 'warning',
        message: '10.0.0.6:6379 heard 1 s ago, 10 bytes behind; 10.0.0.7:6380 heard 11 s ago, 60 bytes behind',
        remedy: expect.stringContaining('a failover to one that lags loses'),
      },
    ],
    [ofMaster(syncing), 'sentinel', { level: 'warning', message: '10.0.0.8:6379 is not in step yet (wait_bgsave)' }],
    ['role:slave', 'sentinel', undefined],
  ])('of its replicas: %j, for a %s', (text, kind, finding) => {
    const [found] = checkInfo(text, kind).filter(({ check }) => check === 'replicas')
    if (finding === undefined) expect(found).toBeUndefined()
    else expect(found).toMatchObject(finding)
  })

  it('of its part: a sentinel has no records', () => {
    expect(checkInfo('redis_mode:sentinel', 'single')).toContainEqual(
      expect.objectContaining({
        check: 'topology',
        level: 'failed',
        remedy: expect.stringContaining('redis+sentinel://'),
      }),
    )
  })
})
