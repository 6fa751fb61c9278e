import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { OutcomeUnknown, StoreTimeout, StoreUnavailable } from '../../src/errors.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { Stores } from './support.js'

let server: RedisServer
let admin: Redis
const stores = new Stores()

beforeAll(async () => {
  server = await startRedisServer()
  admin = new Redis(server.port, { retryStrategy: () => 20 })
  admin.on('error', () => {})
})
afterEach(() => stores.close())
afterAll(async () => {
  admin.disconnect()
  await server.stop()
})

describe('the shared state in Redis', () => {
  it('is one for all stores on the same keys, and another for other prefixes and databases', async () => {
    const [one, two] = [stores.create(server.url), stores.create(server.url)]
    await one.shared.swap('a', undefined, '1')
    expect(await two.shared.get('a')).toBe('1')
    const others = [
      stores.create(server.url, { keyPrefix: 'p:' }),
      stores.create(server.url, { ownPrefix: 'other:' }),
      stores.create(`${server.url}/3`),
    ]
    for (const { shared } of others) expect(await shared.get('a')).toBeUndefined()
    await others[0]!.shared.swap('a', undefined, '2')
    expect((await admin.keys('*')).sort()).toEqual(['mqtt-warden:shared:a', 'p:mqtt-warden:shared:a'])
  })

  it('fails as records do when the server hangs, and when it is gone', async () => {
    const { shared } = stores.create(server.url)
    await shared.swap('b', undefined, '1')
    server.freeze()
    await expect(shared.get('b')).rejects.toThrow(StoreTimeout)
    server.thaw()
    const other = stores.create(server.url)
    await other.shared.get('b')
    server.freeze()
    await expect(other.shared.swap('b', '1', '2')).rejects.toThrow(OutcomeUnknown)
    server.thaw()
    expect(await admin.get('mqtt-warden:shared:b')).toBe('1')
    await server.kill()
    const third = stores.create(server.url)
    await expect(third.shared.get('b')).rejects.toThrow(StoreUnavailable)
    await expect(third.shared.swap('b', '1', '2')).rejects.toThrow(StoreUnavailable)
    await server.restart()
  })

  it('needs no more rights than are documented, and says which one is missing', async () => {
    const rights = ['on', '>secret', '+ping', '+get', '+set', '+del', '~mqtt-warden:shared:*']
    await admin.call('ACL', 'SETUSER', 'sharer', ...rights)
    const url = server.url.replace('//', '//sharer:secret@')
    await expect(stores.create(url).shared.swap('c', undefined, '1')).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_STORE_UNAVAILABLE', message: expect.stringContaining('NOPERM') }),
    )
    await admin.call('ACL', 'SETUSER', 'sharer', '+eval')
    const { shared } = stores.create(url)
    expect(await shared.swap('c', undefined, '1', { ttlMs: 60_000 })).toEqual({ swapped: true })
    expect(await shared.swap('c', '1', undefined)).toEqual({ swapped: true })
    expect(await shared.get('c')).toBeUndefined()
  })
})
