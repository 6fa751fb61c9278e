import { Redis } from 'ioredis'
import { type Authorizer, createAuthorizer, hashPassword } from 'mqtt-warden'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Command } from '../../src/redis/client.js'
import type { Reply } from '../../src/redis/connection.js'
import { RedisLimiter } from '../../src/redis/limiter.js'
import { connectOf, heard, keyOf, reasonOf, recordOf } from '../authorizer/support.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { Stores } from './support.js'

const LIMITS = { points: 2, windowMs: 60_000, blockMs: 120_000 }

let server: RedisServer
let admin: Redis
const stores = new Stores()
const opened: Authorizer[] = []
const open = (authorizer: Authorizer) => {
  opened.push(authorizer)
  return authorizer
}

beforeAll(async () => {
  server = await startRedisServer()
  admin = new Redis(server.port, { retryStrategy: () => 20 })
  admin.on('error', () => {})
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map(authorizer => authorizer.close()))
  await stores.close()
  await admin.flushall()
})
afterAll(async () => {
  admin.disconnect()
  await server.stop()
})

describe('counters in Redis', () => {
  it('lie under the prefix of the store, end by themselves, and are prolonged to the block when the points are used up', async () => {
    const limiter = stores.create(server.url, { keyPrefix: 'p:', ownPrefix: 'own:' }).limiter('pair', LIMITS)
    await limiter.spend('key')
    expect(await admin.keys('*')).toEqual(['p:own:throttle:pair:key'])
    expect(await admin.ttl('p:own:throttle:pair:key')).toBeLessThanOrEqual(60)
    await limiter.spend('key')
    expect(await admin.ttl('p:own:throttle:pair:key')).toBeGreaterThan(100)
    await admin.del('p:own:throttle:pair:key')
    expect(await limiter.isSpent('key')).toBe(false)
  })

  it('are kept in memory while the server is gone, and in it again when it is back', async () => {
    const store = stores.create(server.url)
    const limiter = store.limiter('pair', LIMITS)
    await limiter.spend('a')
    await server.kill()
    for (let n = 0; n < 2; n++) await limiter.spend('b')
    expect([await limiter.isSpent('a'), await limiter.isSpent('b')]).toEqual([false, true])
    await server.restart()
    await eventually(async () => {
      await limiter.spend('c')
      return (await admin.exists('mqtt-warden:throttle:pair:c')) === 1
    }, 'it counts in Redis again')
    expect(await limiter.isSpent('b')).toBe(true)
  })

  it('are kept in memory, and an event says why once, where the user may not write', async () => {
    await admin.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>secret', '+@all', '~*', '&*', '-eval')
    const store = stores.create(server.url.replace('//', '//reader:secret@'))
    const messages: string[] = []
    store.watch(event => {
      if (event.type === 'error') messages.push(`${event.place}: ${(event.error as Error).message}`)
    })
    const limiter = store.limiter('pair', LIMITS)
    for (let n = 0; n < 3; n++) expect(await limiter.spend('a')).toBe(n + 1)
    expect(await limiter.isSpent('a')).toBe(true)
    expect(messages).toEqual([expect.stringMatching(/^limiter pair: redis answered "NOPERM .*eval/)])
  })

  it('are kept in memory from so many new keys on, so that inventing names does not fill the server', async () => {
    const connection = new Redis(server.port)
    const send = (_key: Buffer, commands: readonly Command[]) =>
      Promise.all(commands.map(([name, ...args]) => connection.call(name!, ...(args as string[])))) as Promise<Reply[]>
    const failed = (error: unknown) => expect.unreachable(String(error))
    const limiter = new RedisLimiter(LIMITS, { send, prefix: 'few', failed, maxBegun: 2 })
    for (const key of ['a', 'a', 'b', 'c', 'c', 'd']) await limiter.spend(key)
    expect((await admin.keys('few*')).sort()).toEqual(['few:a', 'few:b'])
    expect(await Promise.all(['a', 'b', 'c', 'd'].map(key => limiter.isSpent(key)))).toEqual([true, false, true, false])
    connection.disconnect()
  })

  it('need no more rights than are documented', async () => {
    const rights = ['+ping', '+multi', '+exec', '+get', '+set', '+pttl', '+eval', '+incrby', '+expire']
    await admin.call('ACL', 'SETUSER', 'counter', 'reset', 'on', '>secret', ...rights, '~mqtt-warden:throttle:*')
    const limiter = stores.create(server.url.replace('//', '//counter:secret@')).limiter('pair', LIMITS)
    for (let n = 0; n < 2; n++) await limiter.spend('a')
    expect(await limiter.isSpent('a')).toBe(true)
    expect(await admin.get('mqtt-warden:throttle:pair:a')).toBe('2')
  })
})

describe('authorizers over one Redis', () => {
  it('throttle guesses together, know the address of the owner together, and write no name that a client chose', async () => {
    const [one, two] = [1, 2].map(() => stores.create(server.url))
    await one!.put(keyOf('c'), recordOf([], { passhash: await hashPassword('pw', { cost: 4 }) }))
    const throttle = { perPair: { points: 2 }, perAccount: { points: 4 } }
    const [first, second] = [one!, two!].map(store => open(createAuthorizer({ store, throttle, refusalCapMs: 0 })))
    const login = async (authorizer: typeof first, password: string, address: string) =>
      reasonOf(await authorizer!.authenticate(connectOf('c', { password, address })))

    expect(await login(first, 'pw', '192.0.2.1')).toBeUndefined()
    await eventually(async () => (await admin.keys('*:throttle:known:*')).length === 1, 'the address is noted')
    const errors = heard(second!, 'error')
    expect(await login(first, 'one', '198.51.100.1')).toBe('bad_credentials')
    expect(await login(second, 'two', '198.51.100.1')).toBe('bad_credentials')
    expect(await login(first, 'three', '198.51.100.1')).toBe('throttled')
    expect(await login(first, 'four', '198.51.100.2')).toBe('bad_credentials')
    expect(await login(second, 'five', '198.51.100.3')).toBe('bad_credentials')
    expect(await login(second, 'pw', '198.51.100.4')).toBe('throttled')
    // Neither the password nor the address is remembered there: the store knows.
    expect(await login(second, 'pw', '192.0.2.1')).toBeUndefined()
    const keys = await admin.keys('*throttle*')
    for (const key of keys) expect(key).toMatch(/^mqtt-warden:throttle:(pair|account|own|known):[\w-]{43}$/)
    expect(errors).toEqual([])
  })
})
