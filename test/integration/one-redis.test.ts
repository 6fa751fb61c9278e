import { createRequire } from 'node:module'
import type { AedesOptions } from 'aedes'
import { Redis as Redis5 } from 'ioredis5'
import emitter from 'mqemitter-redis'
import { createRedisStore, type RedisStore } from 'mqtt-warden/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account, client, inbox, key, onEnd, rawClient, type Stage, stage } from '../aedes/setup.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

// It has no types.
const persistence = createRequire(import.meta.url)('aedes-persistence-redis') as (options: { conn: Redis5 }) => {
  destroy(): Promise<void>
}

let server: RedisServer
beforeAll(async () => {
  server = await startRedisServer()
})
afterAll(() => server.stop())

const persistent = { clean: false }

/** Names that Redis, or this library in Redis, uses for something else than MQTT. */
const TRICKY = [
  '__redis__:invalidate',
  '__sentinel__:goodbye',
  'mqtt-warden:',
  'mqtt-warden:shared:owner:listener',
  'mqtt-warden:beat:x:1',
  '["","listener","sensor"]',
  'p:["","listener","sensor"]',
]

const variants = [
  { name: 'database 0, no prefix', db: 0, keyPrefix: '' },
  { name: 'database 3, with a key prefix for the records', db: 3, keyPrefix: 'p:' },
]

describe.each(variants)('one Redis for records, messages and sessions ($name)', ({ db, keyPrefix }) => {
  async function connection(): Promise<Redis5> {
    const redis = new Redis5(server.port, { db })
    await redis.ping()
    return redis
  }

  async function node(id: string): Promise<Stage & { readonly store: RedisStore }> {
    const [subConn, pubConn, conn] = await Promise.all([connection(), connection(), connection()])
    const kept = persistence({ conn })
    onEnd(() => kept.destroy())
    const store = createRedisStore(`${server.url}/${db}`, { keyPrefix, heartbeatMs: 50 })
    onEnd(() => store.close())
    const mq = emitter({ subConn, pubConn })
    const started = await stage({ store, broker: { id, mq, persistence: kept } as AedesOptions })
    await started.authorizer.ready()
    return { ...started, store }
  }

  async function fill(store: RedisStore): Promise<void> {
    await store.put(key('sensor'), account(['#'], ['#', '$SYS/+/new/clients']))
    await store.put(key('sleeper', 'sleeper'), account([], ['mail/#']))
  }

  it('disturbs nobody, and is disturbed by nobody', async () => {
    const admin = await connection()
    await admin.flushall()
    const watched = await watchCommands(admin)
    const [one, two] = [await node('one'), await node('two')]
    await fill(one.store)

    const sleeper = await client(two.port, 'sleeper', { clientId: 'sleeper', ...persistent })
    await sleeper.subscribeAsync('mail/#', { qos: 1 })
    await sleeper.endAsync()
    const talker = await client(two.port, 'sensor', { clientId: 'talker' })
    await talker.publishAsync('state', 'kept', { qos: 1, retain: true })
    const listener = await client(one.port, 'sensor', { clientId: 'listener' })
    const heard = inbox(listener)
    await listener.subscribeAsync('#', { qos: 1 })
    await eventually(() => heard.includes('state=kept'), 'what was retained is there')
    for (const topic of TRICKY) await talker.publishAsync(topic, 'x', { qos: 1 })
    await talker.publishAsync('mail/1', 'waits', { qos: 1 })
    await eventually(() => heard.includes('mail/1=waits'), 'the last message is heard')
    expect([...one.denied, ...two.denied]).toEqual([])
    expect(heard).toEqual(['state=kept', ...TRICKY.map(topic => `${topic}=x`), 'mail/1=waits'])

    // A change of a record counts on the other node, in the middle of it all.
    await two.store.put(key('sensor', 'listener'), account([], []))
    await eventually(() => one.broker.clients.listener === undefined, 'its password is another record’s now: it is cut')
    const awake = await rawClient(one.port, 'sleeper', 'sleeper', persistent)
    expect(await awake.next('publish')).toMatchObject({ topic: 'mail/1' })

    for (const { store } of [one, two]) {
      const found = []
      for await (const { clientId } of store.scan()) found.push(clientId)
      expect(found.sort()).toEqual(['*', 'listener', 'sleeper'])
      expect(store.stats()).toMatchObject({ state: 'live', droppedMessages: 0, unknowns: 1 })
    }
    expect([...one.faults, ...two.faults]).toEqual([])
    await watched.stop()
    expectApart(watched.commands, keyPrefix)
    admin.disconnect()
  })
})

/** One command that the server got. */
interface Seen {
  /** Whether it came through a connection of this library. */
  readonly isOurs: boolean
  readonly args: readonly string[]
}

/** Writes down every command that the server gets, and whose it is. */
async function watchCommands(admin: Redis5): Promise<{ readonly commands: Seen[]; stop(): Promise<void> }> {
  const lines: { address: string; args: readonly string[] }[] = []
  const names = new Map<string, string>()
  // It makes a connection of its own. One more that comes up meanwhile could be written down before ioredis is ready for it.
  const monitor = await admin.monitor()
  monitor.on('monitor', (_time: string, args: string[], address: string) => {
    lines.push({ address, args })
    if (args[0]?.toLowerCase() === 'client' && args[1]?.toLowerCase() === 'setname') names.set(address, args[2]!)
  })
  const commands: Seen[] = []
  return {
    commands,
    async stop() {
      await admin.echo('last')
      await eventually(() => lines.some(({ args }) => args[1] === 'last'), 'everything is written down')
      monitor.disconnect()
      for (const { address, args } of lines) {
        // Nobody else runs scripts.
        const isOurs = address === 'lua' || names.get(address)?.startsWith('mqtt-warden:') === true
        commands.push({ isOurs, args })
      }
    },
  }
}

/** Of the commands seen, those of this library that name no key. */
const WITHOUT_KEYS: ReadonlySet<string> = new Set([
  ...['ping', 'multi', 'exec', 'client', 'select', 'info', 'hello', 'scan', 'subscribe', 'role', 'config', 'command'],
])

/** Each reads and writes its own keys only, and we publish nothing that a pattern subscriber could hear. */
function expectApart(commands: readonly Seen[], keyPrefix: string): void {
  const isOurKey = (name = '') => name.startsWith(`${keyPrefix}["`) || name.startsWith(`${keyPrefix}mqtt-warden:`)
  const ours = commands.filter(
    ({ isOurs, args }) => isOurs && args.length > 1 && !WITHOUT_KEYS.has(args[0]!.toLowerCase()),
  )
  const theirs = commands.filter(({ isOurs, args }) => !isOurs && args[0]!.toLowerCase() !== 'publish')
  const keyOf = ([command, first, , third]: readonly string[]) => (command!.toLowerCase() === 'eval' ? third : first)
  expect(ours.filter(({ args }) => !isOurKey(keyOf(args)))).toEqual([])
  expect(theirs.filter(({ args }) => args.slice(1).some(isOurKey))).toEqual([])
  expect(Math.min(ours.length, theirs.length)).toBeGreaterThan(20)
}
