import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RedisTarget } from '../../src/redis/index.js'
import { key, recordOf } from '../contract/record-store.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { Heard, Stores, splitTemplate, textOf } from './support.js'

const KEY = key('1528361231', '101')
const NAME = encodeRecordKey(KEY)

let server: RedisServer
let tool: Redis
let dataLine: TcpProxy
let linkLine: TcpProxy
const stores = new Stores()

beforeAll(async () => {
  server = await startRedisServer()
})
beforeEach(async () => {
  tool = new Redis(server.port)
  dataLine = await startTcpProxy(server.port)
  linkLine = await startTcpProxy(server.port)
})
afterEach(async () => {
  await stores.close()
  await dataLine.close()
  await linkLine.close()
  await tool.flushall()
  tool.disconnect()
})
afterAll(async () => {
  await server.stop()
})

const split = (): RedisTarget => splitTemplate({ data: dataLine.port, link: linkLine.port })

/** Ids of the connections that the server knows under a name. */
async function connectionIds(name: string): Promise<string[]> {
  const list = (await tool.client('LIST')) as string
  return list
    .split('\n')
    .filter(line => line.includes(` name=mqtt-warden:${name} `))
    .map(line => /^id=(\d+)/.exec(line)![1]!)
}

describe('the tracking link of a Redis store', () => {
  it.each([
    ['ioredis 6', (): RedisTarget => server.url, () => {}],
    ['ioredis 5', (): RedisTarget => new Redis5({ port: server.port, lazyConnect: true }), () => {}],
  ])('tells blind, unknown and live when its connection is killed, on %s', async (_, target) => {
    const heard = new Heard(stores.create(target()))
    await heard.live()
    const from = heard.events.length
    for (const id of await connectionIds('link')) await tool.client('KILL', 'ID', id)
    await tool.set(NAME, textOf('written meanwhile'))
    await heard.until('the link is back', () => heard.story(from).includes('unknown') && heard.isLive)
    const story = heard.story(from).filter(kind => kind !== 'error' && kind !== 'changed')
    expect(story.filter((kind, at) => at > 0 || kind !== 'live')).toEqual(['blind', 'unknown', 'live'])
    const again = heard.events.length
    await tool.set(NAME, textOf('b'))
    await heard.until('changes are heard again', () => heard.changed(KEY, again))
  })

  it('says once, with the moment of the last beat, that it became blind', async () => {
    const heard = new Heard(stores.create(split()))
    await heard.live()
    linkLine.refuse(true)
    linkLine.cut()
    await heard.blind()
    const links = heard.events.flatMap(event => (event.type === 'link' ? [event] : []))
    expect(links.at(-1)).toEqual({ type: 'link', state: 'blind', at: links.at(-2)!.at })
    await heard.until('the reason is told', () => heard.count('error') > 0)
    expect(links.filter(({ state }) => state === 'blind')).toHaveLength(1)
    linkLine.refuse(false)
    await heard.live()
  })

  it('notices that its line is frozen by a beat that does not come back', async () => {
    const heard = new Heard(stores.create(split()))
    await heard.live()
    const from = heard.events.length
    linkLine.freeze()
    await tool.set(NAME, textOf('unheard'))
    await heard.blind()
    expect(heard.changed(KEY, from)).toBe(false)
    const error = heard.events.find(event => event.type === 'error')
    expect(error).toMatchObject({
      place: 'redis link',
      error: {
        message: 'changes at redis localhost:6379 are not heard: a beat did not come back within 300 ms',
      },
    })
    const blindAt = heard.events.length
    linkLine.resume()
    await heard.live()
    // What the old connection still held came to nothing; the new one begins by taking everything as changed.
    const story = heard.story(blindAt).filter(kind => kind !== 'error')
    expect(story).toEqual(['unknown', 'live'])
  })

  it('goes blind when only what Redis sends is lost', async () => {
    const heard = new Heard(stores.create(split()))
    await heard.live()
    linkLine.drop('down')
    await heard.blind()
    linkLine.drop(undefined)
    await heard.live()
  })

  it('goes blind when no beat can be sent, and returns with the data connection', async () => {
    const heard = new Heard(stores.create(split()))
    await heard.live()
    dataLine.freeze()
    await heard.blind()
    dataLine.resume()
    await heard.live()
  })

  it('never counts a beat that comes back too late', async () => {
    const store = stores.create(split())
    const heard = new Heard(store)
    linkLine.delay(400)
    await heard.until('beats were missed', () => heard.count('error') > 0)
    expect(store.stats().beats).toBe(0)
    linkLine.delay(0)
    await heard.live()
  })

  it('does not take the expiry of an earlier beat, or a stranger touching it, for a beat', async () => {
    const heard = new Heard(stores.create(split(), { heartbeatTimeoutMs: 1_000 }))
    await heard.live()
    dataLine.freeze()
    const from = heard.events.length
    const [earlier] = await tool.keys('mqtt-warden:beat:*')
    await tool.set(earlier!, 'touched')
    await heard.blind()
    const credited = heard.events.slice(from).filter(event => event.type === 'link' && event.state === 'live')
    // One beat may have been under way; after it nothing was proven, though every old beat was heard expiring.
    expect(credited.length).toBeLessThanOrEqual(1)
    expect(await tool.keys('mqtt-warden:beat:*')).toEqual([earlier])
    dataLine.resume()
  })

  it('is still live after a load of invalidations far larger than usual', async () => {
    const heard = new Heard(stores.create(server.url, { heartbeatTimeoutMs: 5_000, commandTimeoutMs: 5_000 }))
    await heard.live()
    const from = heard.events.length
    const batch = tool.pipeline()
    for (let n = 0; n < 5_000; n++) batch.set(encodeRecordKey(key(`c${n}`)), '{}')
    await batch.exec()
    await heard.until('all are heard', () => heard.count('changed', from) >= 5_000)
    expect(heard.story(from).filter(kind => kind === 'unknown' || kind === 'blind')).toEqual([])
  })

  it('returns by itself when Redis was gone and comes back empty', async () => {
    const own = await startRedisServer()
    const heard = new Heard(stores.create(own.url))
    await heard.live()
    await own.kill()
    await heard.blind()
    const from = heard.events.length
    await own.restart()
    await heard.live()
    expect(heard.story(from).filter(kind => kind !== 'error')).toEqual(['unknown', 'live'])
    await stores.close()
    await own.stop()
  })

  it('notices a Redis that stands still, and its return', async () => {
    const own = await startRedisServer()
    const heard = new Heard(stores.create(own.url))
    await heard.live()
    own.freeze()
    await heard.blind()
    own.thaw()
    await heard.live()
    await stores.close()
    await own.stop()
  })

  it('goes live on a Redis that starts later, and reports the trouble once', async () => {
    const own = await startRedisServer()
    await own.kill()
    const heard = new Heard(stores.create(own.url))
    await heard.until('the trouble is told', () => heard.count('error') > 0)
    expect(heard.events[0]).toMatchObject({
      type: 'error',
      place: 'redis link',
      error: { code: 'ERR_STORE_UNAVAILABLE' },
    })
    await own.restart()
    await heard.live()
    const errors = heard.events.flatMap(event => (event.type === 'error' ? [String(event.error)] : []))
    expect(errors).toEqual([...new Set(errors)])
    await stores.close()
    await own.stop()
  })

  it('survives a switch of its server to a replica: blind until it is a master again', async () => {
    const own = await startRedisServer()
    const heard = new Heard(stores.create(own.url))
    await heard.live()
    const admin = new Redis(own.port)
    await admin.replicaof('127.0.0.1', String(server.port))
    await heard.blind()
    await heard.until('the reason is told', () =>
      heard.events.some(event => event.type === 'error' && /READONLY|LOADING/.test(String(event.error))),
    )
    await admin.replicaof('NO', 'ONE')
    await heard.live()
    admin.disconnect()
    await stores.close()
    await own.stop()
  })
})

describe('the rights of a Redis user', () => {
  const READ = ['%R~\\["*', '+ping', '+getrange', '+pttl', '+scan', '+client|id', '+client|tracking', '+subscribe']
  let own: RedisServer
  let admin: Redis

  const asUser = async (...rules: string[]): Promise<RedisTarget> => {
    await admin.call('ACL', 'SETUSER', 'auth', 'reset', 'on', '>secret', ...rules)
    return `redis://auth:secret@127.0.0.1:${own.port}`
  }

  beforeAll(async () => {
    own = await startRedisServer()
    admin = new Redis(own.port)
  })
  afterEach(async () => {
    await stores.close()
  })
  afterAll(async () => {
    admin.disconnect()
    await own.stop()
  })

  it.each([
    ['beats that are written', ['~mqtt-warden:beat:*', '+set']],
    ['beats that ask, for a user who may not write', ['+client|list']],
  ])('suffice for %s', async (_, rules) => {
    const store = stores.create(await asUser(...READ, '&mqtt-warden:#', ...rules))
    const heard = new Heard(store)
    await heard.live()
    await admin.set(NAME, textOf('a'))
    await heard.until('the change is heard', () => heard.changed(KEY))
    await heard.until('several beats were proven', () => store.stats().beats >= 3)
    expect((await store.get(KEY))?.publishAcl[0]?.pattern).toBe('a')
    await expect(store.put(KEY, recordOf('b'))).rejects.toThrow(StoreUnavailable)
  })

  it.each([
    ['CLIENT TRACKING is refused', [...READ.filter(rule => rule !== '+client|tracking'), '&mqtt-warden:#'], 'NOPERM'],
    ['the channel is refused', READ, 'NOPERM'],
    ['neither SET nor CLIENT LIST is allowed', [...READ, '&mqtt-warden:#'], 'NOPERM'],
  ])('leave the link blind, and say why, where %s', async (_, rules, code) => {
    const store = stores.create(await asUser(...rules))
    const heard = new Heard(store)
    await heard.until('the reason is told', () => heard.count('error') > 0)
    const [error] = heard.events.flatMap(event => (event.type === 'error' ? [event.error] : []))
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(String(error)).toMatch(new RegExp(`changes at redis 127.0.0.1:\\d+ are not heard: redis answered "${code}`))
    expect(store.stats().state).toBe('blind')
    expect(await store.get(key('nobody'))).toBeUndefined()
  })

  it.each(['getrange', 'pttl'])('that lack %s make reads fail, alone and together, and say so', async command => {
    const store = stores.create(await asUser(...READ.filter(rule => rule !== `+${command}`)))
    await admin.set(NAME, textOf('a'))
    for (const keys of [[KEY], [KEY, key('other')]]) {
      for (const read of await Promise.allSettled(keys.map(each => store.get(each)))) {
        const message = expect.stringMatching(new RegExp(`^redis answered "NOPERM .*'${command}'`))
        expect(read).toMatchObject({ status: 'rejected', reason: { message, isForbidden: true } })
      }
    }
  })

  it('that are missing altogether are told without the password', async () => {
    await admin.call('ACL', 'SETUSER', 'auth', 'reset', 'on', '>secret')
    const store = stores.create(`redis://auth:wrong-secret@127.0.0.1:${own.port}`)
    const error = await store.get(KEY).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(String(error)).toMatch(/WRONGPASS/)
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      expect(JSON.stringify(cause, Object.getOwnPropertyNames(cause))).not.toContain('wrong-secret')
    }
  })
})
