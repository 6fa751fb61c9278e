import { spawn } from 'node:child_process'
import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { createAuthorizer } from 'mqtt-warden'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RedisTarget } from '../../src/redis/index.js'
import { slotOf } from '../../src/redis/slots.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'
import { FAST, Heard, Stores, splitTemplate, textOf } from './support.js'

const KEY = key('1528361231', '101')
const NAME = encodeRecordKey(KEY)
/** What the channel needs, for a user that may not have keys tracked. */
const RULES = [
  ...['resetkeys', 'resetchannels', '-@all', '~\\["*', '&mqtt-warden:#', '+ping', '+getrange', '+pttl'],
  ...['+scan', '+set', '+del', '+exists', '+subscribe', '+publish', '+ssubscribe', '+spublish', '+cluster|slots'],
]

const stores = new Stores()
const channelStore = (target: RedisTarget) => stores.create(target, { invalidation: 'channel' })

afterEach(() => stores.close())

describe('a Redis store that hears through a channel', () => {
  let server: RedisServer
  let tool: Redis
  const asUser = (): RedisTarget => `redis://guest:secret@127.0.0.1:${server.port}`

  beforeAll(async () => {
    server = await startRedisServer()
    tool = new Redis(server.port)
    await tool.call('ACL', 'SETUSER', 'guest', 'on', '>secret', ...RULES)
  })
  beforeEach(() => tool.flushall())
  afterAll(async () => {
    tool.disconnect()
    await server.stop()
  })

  it.each([
    ['ioredis 6', () => asUser()],
    ['ioredis 5', () => new Redis5(`redis://guest:secret@127.0.0.1:${server.port}`, { lazyConnect: true })],
  ])('is told of what other stores write, without the right to track, on %s', async (_, target) => {
    const [reader, writer] = [channelStore(target()), channelStore(asUser())]
    const heard = new Heard(reader)
    await heard.live()
    expect(await writer.put(KEY, recordOf('a'))).toMatchObject({ warnings: [] })
    await heard.until('the write is heard', () => heard.changed(KEY))
    const from = heard.events.length
    await writer.delete(KEY)
    await heard.until('the removal is heard', () => heard.changed(KEY, from))
  })

  it('is told of what another process writes', async () => {
    const script = new URL('./children/watcher.ts', import.meta.url).pathname
    const url = `redis://guest:secret@127.0.0.1:${server.port}`
    const args = ['--import', 'tsx', script, url, JSON.stringify({ invalidation: 'channel' })]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', chunk => (output += chunk))
    await eventually(() => output.includes('"live"'), 'the other process is live')
    await channelStore(asUser()).put(KEY, recordOf('a'))
    await eventually(() => output.includes(JSON.stringify({ type: 'changed', key: KEY })), 'it has heard')
    child.kill('SIGKILL')
  })

  it('does not hear of what others write, and says so', async () => {
    const reader = channelStore(asUser())
    const heard = new Heard(reader)
    await heard.live()
    expect(reader.hears).toBe('own writes')
    await tool.set(NAME, textOf('a'))
    const beats = reader.stats().beats
    await heard.until('beats have come back since', () => reader.stats().beats > beats + 2)
    expect(heard.changed(KEY)).toBe(false)
  })

  it('states a bound that holds for what others write', async () => {
    await using authorizer = createAuthorizer({ store: channelStore(asUser()), maxAgeMs: 120_000 })
    await authorizer.ready()
    expect(authorizer.freshness()).toMatchObject({
      state: 'live',
      boundMs: 120_000,
      links: [{ server: `127.0.0.1:${server.port}`, state: 'live' }],
    })
  })

  it('is not seen by those who subscribe to patterns', async () => {
    const listener = new Redis(server.port)
    const seen: string[] = []
    listener.on('pmessage', (_pattern, channel) => seen.push(channel))
    await listener.psubscribe('*')
    const store = channelStore(asUser())
    const heard = new Heard(store)
    await heard.live()
    await store.put(KEY, recordOf('a'))
    await tool.publish('last', '')
    await heard.until('the listener has heard what was sent last', () => seen.includes('last'))
    expect(seen).toEqual(['last'])
    listener.disconnect()
  })

  it('takes messages of strangers for no more than names of records to read again', async () => {
    const store = channelStore(asUser())
    const heard = new Heard(store)
    await heard.live()
    const from = heard.events.length
    for (const text of ['', '\0', '["","*"', JSON.stringify({ key: KEY }), 'mqtt-warden:beat:1']) {
      await tool.call('SPUBLISH', 'mqtt-warden:#', text)
    }
    await tool.call('SPUBLISH', 'mqtt-warden:#', NAME)
    await heard.until('the name is heard', () => heard.changed(KEY, from))
    expect(heard.count('changed', from)).toBe(1)
    expect(heard.isLive).toBe(true)
  })

  it('notices that its link has gone deaf, and takes everything for changed when it is back', async () => {
    const line = await startTcpProxy(server.port)
    const heard = new Heard(channelStore(splitTemplate({ data: server.port, link: line.port })))
    await heard.live()
    const from = heard.events.length
    line.freeze()
    await heard.blind()
    await channelStore(asUser()).put(KEY, recordOf('meanwhile'))
    line.resume()
    await heard.until('it is live again', () => heard.story(from).includes('unknown') && heard.isLive)
    await stores.close()
    await line.close()
  })

  it('uses the channels of old for servers without sharded ones', async () => {
    const old = await startRedisServer(['--rename-command', 'SSUBSCRIBE', '', '--rename-command', 'SPUBLISH', ''])
    const [reader, writer] = [channelStore(old.url), channelStore(old.url)]
    const heard = new Heard(reader)
    await heard.live()
    await writer.put(KEY, recordOf('a'))
    await heard.until('the write is heard', () => heard.changed(KEY))
    await stores.close()
    await old.stop()
  })

  it.each([
    ['neither kind of channel', ['-publish', '-spublish']],
    // Others listen to sharded channels only.
    ['no sharded channel', ['-spublish']],
  ])('warns who wrote where the others could not be told: %s', async (_, without) => {
    await tool.call('ACL', 'SETUSER', 'mute', 'reset', 'on', '>secret', ...RULES, ...without)
    const store = channelStore(`redis://mute:secret@127.0.0.1:${server.port}`)
    const { warnings } = await store.put(KEY, recordOf('a'))
    expect(warnings).toEqual([expect.stringContaining('other processes were not told')])
    expect((await store.get(KEY))?.publishAcl).toEqual(recordOf('a').publishAcl)
  })
})

describe('a Redis store that hears through a channel on a Cluster', () => {
  let cluster: RedisCluster
  const clients: { disconnect(): void }[] = []
  const target = (): RedisTarget => {
    const options = { lazyConnect: true, redisOptions: { username: 'guest', password: 'secret' } }
    const client = new Cluster([{ host: '127.0.0.1', port: cluster.members[0]!.server.port }], options)
    clients.push(client)
    return client
  }

  beforeAll(async () => {
    cluster = await startRedisCluster()
    for (const { admin } of cluster.members) await admin.call('ACL', 'SETUSER', 'guest', 'on', '>secret', ...RULES)
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await cluster.stop()
  })

  it('is told of writes on every master, through one link, also when the channel moves', async () => {
    const [reader, writer] = [channelStore(target()), channelStore(target())]
    const heard = new Heard(reader)
    await heard.live()
    expect(reader.links()).toHaveLength(1)
    const written = Array.from({ length: 12 }, (_, n) => key(`c${n}`))
    expect(new Set(written.map(each => Math.floor(slotOf(Buffer.from(encodeRecordKey(each))) / 5_462))).size).toBe(3)
    for (const each of written) expect((await writer.put(each, recordOf('a'))).warnings).toEqual([])
    await heard.until('all are heard', () => written.every(each => heard.changed(each)))

    const slot = slotOf(Buffer.from('mqtt-warden:#'))
    const owner = Math.floor(slot / 5_462)
    const from = heard.events.length
    await cluster.moveSlot(slot, cluster.members[owner]!, cluster.members[(owner + 1) % 3]!)
    await heard.until('the link has followed', () => heard.story(from).includes('unknown') && heard.isLive)
    const position = heard.events.length
    expect((await writer.put(KEY, recordOf('b'))).warnings).toEqual([])
    await heard.until('the write is heard', () => heard.changed(KEY, position))
  })
})

describe('a Redis store that hears nothing', () => {
  it('opens no link, stays blind, and reads and writes all the same', async () => {
    const server = await startRedisServer()
    const store = stores.create(server.url, { invalidation: 'none' })
    const heard = new Heard(store)
    await store.put(KEY, recordOf('a'))
    expect((await store.get(KEY))?.publishAcl).toEqual(recordOf('a').publishAcl)
    expect(heard.changed(KEY)).toBe(true)
    expect(heard.isLive).toBe(false)
    expect(store.hears).toBe('nothing')
    expect(store.links()).toEqual([])
    await using authorizer = createAuthorizer({ store, staleWindowMs: FAST.heartbeatMs! * 10 })
    await authorizer.ready()
    expect(authorizer.freshness()).toMatchObject({ state: 'blind', hears: 'nothing' })
    await stores.close()
    await server.stop()
  })
})
