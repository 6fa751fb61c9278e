import { Cluster, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterEach, describe, expect, it } from 'vitest'
import { createRedisStore, type RedisStore, type RedisStoreOptions, type RedisTarget } from '../../src/redis/index.js'

const URL = 'redis://127.0.0.1:1'
const endings: (() => unknown)[] = []

afterEach(() => {
  for (const end of endings.splice(0)) end()
})

const integer = (name: string, min: number, max: number): string =>
  `"${name}" option must be an integer from ${min} to ${max}`
const LIMITS: readonly (readonly [keyof RedisStoreOptions, number, number])[] = [
  ['heartbeatMs', 50, 60_000],
  ['heartbeatTimeoutMs', 50, 60_000],
  ['commandTimeoutMs', 10, 60_000],
  ['connectTimeoutMs', 10, 60_000],
  ['reconnectMinMs', 1, 60_000],
  ['reconnectMaxMs', 1, 600_000],
  ['maxRecordBytes', 64, 67_108_864],
]

describe('the options of createRedisStore', () => {
  it.each(LIMITS)('take %s from %d to %d, as a whole number', (name, min, max) => {
    for (const value of [min - 1, max + 1, min + 0.5, NaN, Infinity, '100', null]) {
      const create = (): RedisStore => createRedisStore(URL, { [name]: value })
      expect(create, String(value)).toThrow(new TypeError(integer(name, min, max)))
    }
    const bounds = { reconnectMinMs: 1, reconnectMaxMs: 600_000 }
    for (const value of [min, max, undefined]) createRedisStore(URL, { ...bounds, [name]: value })
  })

  it.each([
    [{ semantics: 'loose' }, '"semantics" option must be "strict" or "vernemq"'],
    [{ keyPrefix: 7 }, '"keyPrefix" option must be a string of at most 256 characters'],
    [{ keyPrefix: 'x'.repeat(257) }, '"keyPrefix" option must be a string of at most 256 characters'],
    [{ keyPrefix: '\ud800' }, '"keyPrefix" option must be a string of at most 256 characters'],
    [{ ownPrefix: '' }, '"ownPrefix" option must be 1 to 64 printable ASCII characters without "{"'],
    [{ ownPrefix: 'a b' }, '"ownPrefix" option must be 1 to 64 printable ASCII characters without "{"'],
    [{ ownPrefix: '{a}' }, '"ownPrefix" option must be 1 to 64 printable ASCII characters without "{"'],
    [{ ownPrefix: 'x'.repeat(65) }, '"ownPrefix" option must be 1 to 64 printable ASCII characters without "{"'],
    [{ ownPrefix: 'Warden:' }, '"ownPrefix" option must sort after [" and not begin with it'],
    [{ ownPrefix: '["x' }, '"ownPrefix" option must sort after [" and not begin with it'],
    [{ reconnectMinMs: 200, reconnectMaxMs: 100 }, '"reconnectMaxMs" option must not be below "reconnectMinMs"'],
    [{ invalidation: 'push' }, '"invalidation" option must be "tracking", "channel" or "none"'],
    [{ hartbeatMs: 100 }, '"hartbeatMs" is not an option of createRedisStore'],
    [null, '"options" must be an object'],
    ['x', '"options" must be an object'],
  ])('refuse %j', (options, message) => {
    expect(() => createRedisStore(URL, options as never)).toThrow(new TypeError(message))
  })

  it.each(['warden:', '~', '[beat', 'mqtt-warden'])('take the prefix %j for own keys', ownPrefix => {
    expect(createRedisStore(URL, { ownPrefix }).semantics).toBe('strict')
  })
})

describe('the target of createRedisStore', () => {
  it('is refused where it lists no sentinel', () => {
    const message = '"target" argument cannot be used: Requires at least one sentinel to connect to.'
    expect(() => createRedisStore({ sentinels: [], name: 'records' })).toThrow(new TypeError(message))
  })

  it('is refused where its sentinels are asked for a replica', () => {
    const options = { sentinels: [{ host: '127.0.0.1' }], name: 'records', role: 'slave' as const }
    const message = '"target" argument must ask the sentinels for a master: replicas lag'
    expect(() => createRedisStore(options)).toThrow(new TypeError(message))
  })

  const kinds = '"target" argument must be the URL of a Redis, ioredis options, or an ioredis client'
  const url = expect.stringMatching(/^"target" argument must be redis:\/\/host:6379, redis\+sentinel:\/\/host:26379,/)

  it.each([
    [undefined, kinds],
    [null, kinds],
    [6379, kinds],
    [[], kinds],
    ['', url],
    ['localhost', url],
    ['http://localhost', url],
    ['redis://:::secret', url],
    ['redis://u:%E0%A4%A@h', '"target" argument must have its user name and password percent-encoded'],
    ['redis://localhost/production', '"target" argument must name its database by number'],
    ['redis://localhost/3x', '"target" argument must name its database by number'],
  ])('refuses %j', (target, message) => {
    expect(() => createRedisStore(target as never)).toThrow(expect.objectContaining({ name: 'TypeError', message }))
  })

  const client = <T extends { disconnect(): void }>(made: T): T => {
    endings.push(() => made.disconnect())
    return made
  }

  it.each<[string, () => RedisTarget]>([
    ['a redis:// URL', () => 'redis://user:p%40ss@localhost:6380/3'],
    ['a rediss:// URL', () => 'rediss://localhost'],
    ['the URL of a master that sentinels name', () => 'redis+sentinel://localhost,[::1]:26380/main'],
    ['the URL of a Cluster', () => 'rediss+cluster://localhost:7000,localhost:7001'],
    ['options', () => ({ host: 'localhost', port: 6380 })],
    ['options of Sentinel', () => ({ sentinels: [{ host: 'localhost', port: 26379 }], name: 'main' })],
    ['a path of a Unix socket', () => ({ path: '/run/redis.sock' })],
    ['an ioredis 6 client', () => client(new Redis({ lazyConnect: true }))],
    ['an ioredis 5 client', () => client(new Redis5({ lazyConnect: true }))],
    ['an ioredis 6 Cluster', () => client(new Cluster([{ port: 1 }], { lazyConnect: true }))],
    ['an ioredis 5 Cluster', () => client(new Redis5.Cluster([{ port: 1 }], { lazyConnect: true }))],
  ])('may be %s, and nothing is connected yet', (_, target) => {
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter(kind => /TCP|Pipe.*Connect|GetAddrInfo/.test(kind)).length
    const before = sockets()
    const given = target()
    createRedisStore(given)
    expect(sockets()).toBe(before)
  })

  it('may not be a Cluster together with a key prefix that would bind all records to one master', () => {
    const cluster = client(new Cluster([{ port: 1 }], { lazyConnect: true }))
    const message = '"keyPrefix" option must not hold "{" on a Cluster'
    expect(() => createRedisStore(cluster, { keyPrefix: '{x}' })).toThrow(new TypeError(message))
    expect(createRedisStore('redis://h', { keyPrefix: '{x}' }).semantics).toBe('strict')
  })

  it('takes the prefix of a client into account', () => {
    const odd = { options: { keyPrefix: Buffer.from('x') }, duplicate: () => odd }
    const message = '"keyPrefix" option must be a string of at most 256 characters'
    expect(() => createRedisStore(odd)).toThrow(new TypeError(message))
    expect(createRedisStore(odd, { keyPrefix: 'x' }).semantics).toBe('strict')
  })
})
