import { Redis } from 'ioredis'
import { createMemoryStore, type SharedState, StoreUnavailable } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { account, connectPacket, key, onEnd, raw, type Stage, stage } from './setup.js'

/** All that reading and watching needs. */
const READER = [
  ...['~\\["*', '~mqtt-warden:beat:*', '&mqtt-warden:#', '+ping', '+getrange', '+pttl', '+scan'],
  ...['+client|id', '+client|tracking', '+subscribe', '+set'],
]

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedisServer()
  admin = new Redis(server.port)
  const writer = createRedisStore(server.url)
  await writer.put(key('fleet'), account([], ['mail/#']))
  await writer.put(key('other'), account([], ['mail/#']))
  await writer.put(key('own', 'c1'), account([], ['mail/#']))
  await writer.close()
})
afterAll(async () => {
  admin.disconnect()
  await server.stop()
})

async function login({ port, broker }: Stage, username: string): Promise<number> {
  const socket = await raw(port)
  socket.send(connectPacket('c1', username, { clean: false }), { cmd: 'disconnect' })
  const { returnCode } = await socket.next<{ returnCode: number }>('connack')
  await socket.closed()
  await eventually(() => broker.clients.c1 === undefined, 'its session is left behind')
  return returnCode
}

describe('a Redis user without rights to the shared state', () => {
  it.each([
    ['as the rights to read and watch were before there was one', []],
    ['without the right to run scripts', ['~mqtt-warden:shared:*']],
    ['without the right to its keys', ['+eval', '+del']],
    ['without a right that the script needs', ['~mqtt-warden:shared:*', '+eval', '-set', '+client|list']],
  ])('lets clients in, with owners of this process alone, and says so once: %s', async (_, more) => {
    await admin.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>secret', ...READER, ...more)
    const store = createRedisStore(server.url.replace('//', '//reader:secret@'))
    onEnd(() => store.close())
    const one = await stage({ store, options: { nodeLeaseMs: 1_000 } })
    expect(await login(one, 'fleet')).toBe(0)
    expect(await login(one, 'other')).toBe(2)
    expect(await login(one, 'fleet')).toBe(0)
    expect(await login(one, 'own')).toBe(0)
    expect(await login(one, 'fleet')).toBe(2)
    expect(one.faults).toHaveLength(1)
    expect(one.faults[0]?.place).toBe('owners')
    expect(String(one.faults[0]?.error)).toMatch(
      /is known to this process alone, .*redis answered ".*; grant the rights/,
    )
    expect(await admin.keys('mqtt-warden:shared:*')).toEqual([])
  })
})

describe('shared state that may no longer be written', () => {
  it('lets nobody in by what this process alone would know', async () => {
    const store = createMemoryStore([
      [key('fleet'), account([], [])],
      [key('other'), account([], [])],
    ])
    let isForbidden = false
    const ask = <T>(asked: () => Promise<T>): Promise<T> => {
      return isForbidden ? Promise.reject(new StoreUnavailable('NOPERM', { isForbidden })) : asked()
    }
    const owners: SharedState = {
      get: name => ask(() => store.shared!.get(name)),
      swap: (...given) => ask(() => store.shared!.swap(...given)),
    }
    const one = await stage({ store, options: { owners } })
    expect(await login(one, 'fleet')).toBe(0)
    isForbidden = true
    expect(await login(one, 'other')).toBe(3)
    expect(await login(one, 'fleet')).toBe(0)
    const told = one.faults.filter(({ place }) => place === 'owners')
    expect(told.map(({ error }) => String(error))).toEqual([
      expect.stringMatching(/cannot be written any more: NOPERM; grant the rights/),
    ])
  })

  it('is not taken for forbidden while it cannot be reached', async () => {
    const store = createMemoryStore([[key('fleet'), account([], [])]])
    const fail = (): Promise<never> => Promise.reject(new StoreUnavailable('down'))
    const one = await stage({ store, options: { owners: { get: fail, swap: fail } } })
    expect(await login(one, 'fleet')).toBe(3)
  })
})
