import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { FAST, Heard, PATIENT, Stores, textOf } from './support.js'

const KEY = key('1528361231', '101')
const NAME = encodeRecordKey(KEY)

let server: RedisServer
let tool: Redis
const stores = new Stores(PATIENT)

beforeAll(async () => {
  server = await startRedisServer()
  tool = new Redis(server.port)
})
afterEach(async () => {
  await stores.close()
  await tool.flushall()
})
afterAll(async () => {
  tool.disconnect()
  await server.stop()
})

/** What any other tool may do to a record. Each row: what is there before, and what is done. */
const STRANGERS: Record<string, [before: () => Promise<unknown>, act: () => Promise<unknown>]> = {
  SET: [async () => {}, () => tool.set(NAME, textOf('a'))],
  'SET in another database': [async () => {}, () => tool.multi().select(5).set(NAME, 'x').select(0).exec()],
  DEL: [() => tool.set(NAME, textOf('a')), () => tool.del(NAME)],
  UNLINK: [() => tool.set(NAME, textOf('a')), () => tool.unlink(NAME)],
  'RENAME away': [() => tool.set(NAME, textOf('a')), () => tool.rename(NAME, 'elsewhere')],
  'RENAME over it': [() => tool.set('elsewhere', textOf('a')), () => tool.rename('elsewhere', NAME)],
  'COPY over it': [() => tool.set('elsewhere', textOf('a')), () => tool.copy('elsewhere', NAME)],
  'RESTORE over it': [
    () => tool.set('elsewhere', textOf('a')),
    async () => tool.restore(NAME, 0, await tool.dumpBuffer('elsewhere'), 'REPLACE'),
  ],
  EXPIRE: [() => tool.set(NAME, textOf('a')), () => tool.expire(NAME, 100)],
  'expiry after PEXPIRE': [() => tool.set(NAME, textOf('a'), 'PX', 60), async () => {}],
  APPEND: [() => tool.set(NAME, textOf('a')), () => tool.append(NAME, ' ')],
  'a script': [async () => {}, () => tool.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, NAME, textOf('a'))],
}

describe('a Redis store that is watched', () => {
  it.each(Object.entries(STRANGERS))('hears of %s by another tool', async (_, [before, act]) => {
    await before()
    const heard = new Heard(stores.create(server.url))
    await heard.live()
    await act()
    await heard.until('the change is heard', () => heard.changed(KEY))
  })

  it.each(['FLUSHALL', 'FLUSHDB'])('takes everything as changed after %s', async command => {
    const heard = new Heard(stores.create(server.url))
    await heard.live()
    const from = heard.events.length
    await tool.call(command)
    await heard.until('the flush is heard', () => heard.count('unknown', from) > 0)
    expect(heard.isLive).toBe(true)
  })

  it('hears of each key by its own name when names hold commas, quotes and brackets', async () => {
    const heard = new Heard(stores.create(server.url))
    await heard.live()
    const odd = [key('a,b', 'c'), key('a', 'b,c'), key('a","b', 'c'), key('["x"]', '[]')]
    await tool.mset(Object.fromEntries(odd.map(each => [encodeRecordKey(each), textOf('a')])))
    await heard.until('all are heard', () => odd.every(each => heard.changed(each)))
    expect(heard.count('changed')).toBe(odd.length)
  })

  it('hears nothing of keys that are no record keys', async () => {
    const store = stores.create(server.url)
    const heard = new Heard(store)
    await heard.live()
    for (const name of ['other', '["a","b"]', '["", "a","b"]', '["a","b","c","d"]', '["\\u0041","b","c"]', '["']) {
      await tool.set(name, 'x')
    }
    await tool.set(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), 'x')
    await tool.set(NAME, textOf('a'))
    await heard.until('the record is heard', () => heard.changed(KEY))
    expect(heard.count('changed')).toBe(1)
    expect(store.stats().otherKeys).toBeGreaterThanOrEqual(6)
  })

  it('hears only of records under its own prefix', async () => {
    const heard = new Heard(stores.create(server.url, { keyPrefix: 'site:' }))
    await heard.live()
    await tool.set(NAME, textOf('a'))
    await tool.set(`other:${NAME}`, textOf('a'))
    await tool.set(`site:${NAME}`, textOf('a'))
    await heard.until('the record is heard', () => heard.changed(KEY))
    expect(heard.count('changed')).toBe(1)
  })

  it('takes over the prefix of the client it is given, and the option before that', async () => {
    await tool.set(`site:${NAME}`, textOf('by client'))
    await tool.set(`town:${NAME}`, textOf('by option'))
    const client = new Redis({ port: server.port, keyPrefix: 'site:' })
    const byClient = await stores.create(client).get(KEY)
    const byOption = await stores.create(client, { keyPrefix: 'town:' }).get(KEY)
    expect(byClient?.publishAcl[0]?.pattern).toBe('by client')
    expect(byOption?.publishAcl[0]?.pattern).toBe('by option')
    client.disconnect()
  })

  it('is not moved by messages that others publish', async () => {
    const store = stores.create(server.url)
    const heard = new Heard(store)
    await heard.live()
    const from = heard.events.length
    const channels = ['mqtt-warden:#', '__redis__:invalidate', NAME, '["', 'mqtt-warden:beat:1']
    for (const channel of channels) {
      for (const text of ['', 'garbage', NAME, '*1\r\n$1\r\nx\r\n', JSON.stringify([NAME])])
        await tool.publish(channel, text)
    }
    await tool.set(NAME, textOf('a'))
    await heard.until('a real change is heard', () => heard.changed(KEY, from))
    expect(heard.story(from).filter(kind => kind !== 'live')).toEqual(['changed'])
    // Only our own channel is subscribed to, so only its five messages came here.
    expect(store.stats().droppedMessages).toBe(5)
  })

  it('moves its moment on with every beat, to a time before the event', async () => {
    const heard = new Heard(stores.create(server.url))
    const began = performance.now()
    await heard.until('beats were answered', () => heard.count('link') >= 4)
    const moments = heard.events.flatMap(event => (event.type === 'link' ? [event.at] : []))
    expect(moments).toEqual([...new Set(moments)].sort((a, b) => a - b))
    expect(moments[0]).toBeGreaterThanOrEqual(began)
    expect(moments.at(-1)).toBeLessThan(performance.now())
  })

  it('tells a second watcher at once that the link is live', async () => {
    const store = stores.create(server.url, { heartbeatMs: 60_000 })
    await new Heard(store).live()
    const second = new Heard(store)
    await Promise.resolve()
    expect(second.story()).toEqual(['live'])
  })

  it('leaves nothing but short-lived beats in Redis', async () => {
    const heard = new Heard(stores.create(server.url, FAST))
    await heard.until('beats were answered', () => heard.count('link') >= 3)
    const names = await tool.keys('*')
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) {
      expect(name).toMatch(/^mqtt-warden:beat:/)
      expect(await tool.pttl(name)).toBeLessThanOrEqual(300)
    }
  })

  it('opens no connection before it is used, and none of its own for tracking before it is watched', async () => {
    const clients = async (): Promise<string[]> =>
      [...((await tool.client('LIST')) as string).matchAll(/ name=(mqtt-warden:\S+)/g)]
        .map(match => match[1]!)
        // The look at the server when the watch has become live is over in a moment.
        .filter(name => name !== 'mqtt-warden:check')
        .sort()
    await eventually(async () => (await clients()).length === 0, 'the server has seen the last of earlier connections')
    const store = stores.create(server.url)
    expect(await clients()).toEqual([])
    await store.get(KEY)
    expect(await clients()).toEqual(['mqtt-warden:data'])
    const heard = new Heard(store)
    await heard.live()
    expect(await clients()).toEqual(['mqtt-warden:data', 'mqtt-warden:link'])
    heard.stop()
    await eventually(async () => (await clients()).length === 1, 'the link is closed')
  })

  it('neither uses nor closes the client it is given', async () => {
    const client = new Redis({ port: server.port, lazyConnect: true })
    const store = stores.create(client)
    await store.put(KEY, recordOf('a'))
    expect(client.status).toBe('wait')
    await client.connect()
    await store.close()
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
  })
})

describe('a Redis store in another process', () => {
  let child: ChildProcess
  const lines: { readonly type: string; readonly key?: unknown; readonly state?: string }[] = []

  beforeEach(async () => {
    const script = new URL('./children/watcher.ts', import.meta.url).pathname
    child = spawn(process.execPath, ['--import', 'tsx', script, server.url], { stdio: ['ignore', 'pipe', 'inherit'] })
    lines.length = 0
    createInterface(child.stdout!).on('line', line => lines.push(JSON.parse(line)))
    await eventually(() => lines.some(line => line.state === 'live'), 'the other process is live')
  })
  afterEach(() => {
    child.kill('SIGKILL')
  })

  it('hears of writes by this one, by another tool, and of a flush', async () => {
    const heardThere = (id: string): boolean =>
      lines.some(line => line.type === 'changed' && JSON.stringify(line.key) === JSON.stringify(key(id)))
    const store = stores.create(server.url)
    await store.put(key('put'), recordOf('a'))
    await store.delete(key('deleted'))
    await store.put(key('deleted'), recordOf('a'))
    await store.delete(key('deleted'))
    await tool.set(encodeRecordKey(key('foreign')), textOf('a'))
    await eventually(() => ['put', 'deleted', 'foreign'].every(heardThere), 'the writes are heard there')
    const before = lines.filter(line => line.type === 'unknown').length
    await tool.flushall()
    await eventually(() => lines.filter(line => line.type === 'unknown').length > before, 'the flush is heard there')
  })
})
