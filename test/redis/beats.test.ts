import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Connection } from '../../src/redis/connection.js'
import { CommandFailure } from '../../src/redis/failure.js'
import { Heard as HeardOfAll } from '../../src/redis/heard.js'
import { Link } from '../../src/redis/link.js'
import { resolveOptions } from '../../src/redis/options.js'
import { deferred } from '../helpers/deferred.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { FAST, Heard, Stores, splitTemplate } from './support.js'

let server: RedisServer
let tool: Redis
const stores = new Stores()
const lines: TcpProxy[] = []

beforeAll(async () => {
  server = await startRedisServer()
  tool = new Redis(server.port)
})
afterEach(async () => {
  await stores.close()
  await Promise.all(lines.splice(0).map(line => line.close()))
})
afterAll(async () => {
  tool.disconnect()
  await server.stop()
})

async function startLine(port = server.port): Promise<TcpProxy> {
  const line = await startTcpProxy(port)
  lines.push(line)
  return line
}

describe('a beat', () => {
  it('of a user who may only read needs an answer through the link itself', async () => {
    const rights = ['~\\["*', '&mqtt-warden:#', '+ping', '+client|id']
    const more = ['+client|tracking', '+subscribe', '+client|list']
    await tool.call('ACL', 'SETUSER', 'reader', 'on', '>pw', 'resetkeys', 'resetchannels', '-@all', ...rights, ...more)
    const [data, link] = [await startLine(), await startLine()]
    const store = stores.create(
      splitTemplate({ data: data.port, link: link.port }, { username: 'reader', password: 'pw' }),
    )
    const heard = new Heard(store)
    await heard.live()
    link.freeze()
    await heard.blind()
    link.resume()
    await heard.live()
  })

  it('is not returned by whatever else is heard while it is under way', async () => {
    const [data, link] = [await startLine(), await startLine()]
    const store = stores.create(splitTemplate({ data: data.port, link: link.port }), { heartbeatTimeoutMs: 2_000 })
    const heard = new Heard(store)
    await heard.live()
    // What was heard last was done so long ago, and a beat that is sent now comes back after as long.
    const DELAY_MS = 150
    link.delay(DELAY_MS)
    await heard.until('what was on its way has arrived', () => store.stats().beats > 4)
    let isOver = false
    const strangers = (async () => {
      while (!isOver) await tool.set('["","somebody","else"]', '{}')
    })()
    const credits: number[] = []
    const unwatch = store.watch(event => {
      if (event.type === 'link' && event.state === 'live') credits.push(performance.now() - event.at)
    })
    await heard.until('several beats were counted', () => credits.length > 5)
    isOver = true
    await strangers
    unwatch()
    // The first is what a new watcher is told of the last beat.
    for (const age of credits.slice(1)) expect(age).toBeGreaterThanOrEqual(DELAY_MS - 1)
  })

  it('that is refused by a server that has become a replica has the next one sent to who is the master now', async () => {
    const other = await startRedisServer()
    const former = await startRedisServer()
    const line = await startLine(former.port)
    const heard = new Heard(stores.create(splitTemplate({ data: line.port, link: line.port })))
    await heard.live()
    const admin = new Redis(former.port)
    line.retarget(other.port)
    const from = heard.events.length
    await admin.replicaof('127.0.0.1', other.port)
    await heard.until('the link follows', () => heard.story(from).includes('unknown') && heard.isLive)
    admin.disconnect()
    await stores.close()
    await Promise.all([other.stop(), former.stop()])
  })
})

/** A link over connections that the test ends, and beats that it has come back. */
function scene() {
  const told: string[] = []
  const connection = { isUsable: true, loss: deferred<CommandFailure>() }
  const armed = deferred<() => Promise<void>>()
  const event = (name: string) => () => void told.push(name)
  let isOpened = false
  const link = new Link({
    settings: resolveOptions({ ...FAST, reconnectMinMs: 10_000, reconnectMaxMs: 10_000 }, ''),
    place: () => 'here',
    open: async signal => {
      if (isOpened) return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('over'))))
      isOpened = true
      const destroy = (): void => {
        connection.isUsable = false
        connection.loss.resolve(new CommandFailure('lost', 'over'))
      }
      const { loss } = connection
      return {
        get isUsable() {
          return connection.isUsable
        },
        lost: loss.promise,
        ended: loss.promise,
        destroy,
      } as unknown as Connection
    },
    arm: () => armed.promise,
    events: {
      changed: event('changed'),
      unknown: event('unknown'),
      dropped: event('dropped'),
      live: event('live'),
      blind: event('blind'),
      failed: () => {},
    },
  })
  return { told, connection, armed, link }
}

describe('what was heard of several servers', () => {
  it('is what was heard of the one that is furthest behind, once all are heard', () => {
    const told: (number | 'blind')[] = []
    const heard = new HeardOfAll(2, { live: at => told.push(at), blind: () => told.push('blind') })
    heard.live('a', 5)
    heard.live('a', 7)
    expect(told).toEqual([])
    heard.live('b', 6)
    heard.live('b', 9)
    heard.live('a', 8)
    heard.live('b', 10)
    expect(told.splice(0)).toEqual([6, 7, 8])
    heard.blind('a')
    heard.live('b', 20)
    expect(told.splice(0)).toEqual(['blind'])
    heard.live('a', 15)
    expect(told).toEqual([15])
  })
})

describe('a link', () => {
  it('says that anything may have changed when it hears, not before, and is live after the first beat', async () => {
    const { told, armed, link } = scene()
    const beat = deferred()
    await new Promise(resolve => setImmediate(resolve))
    expect(told).toEqual([])
    armed.resolve(() => beat.promise)
    await new Promise(resolve => setImmediate(resolve))
    expect(told).toEqual(['unknown'])
    beat.resolve()
    await new Promise(resolve => setImmediate(resolve))
    expect(told).toEqual(['unknown', 'live'])
    await link.stop()
  })

  it.each(['before', 'after'])('counts no beat of a connection that was lost just %s it came back', async order => {
    const { told, connection, armed, link } = scene()
    const beat = deferred()
    armed.resolve(() => beat.promise)
    await new Promise(resolve => setImmediate(resolve))
    const lose = (): void => {
      connection.isUsable = false
      connection.loss.resolve(new CommandFailure('lost', 'cut'))
    }
    if (order === 'before') lose()
    beat.resolve()
    if (order === 'after') lose()
    await new Promise(resolve => setImmediate(resolve))
    expect(told).toEqual(['unknown'])
    expect(link.status.state).toBe('blind')
    await link.stop()
  })
})
