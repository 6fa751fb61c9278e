import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import type { StoreEvent } from '../../src/store/types.js'
import { key } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { Stores, splitTemplate } from './support.js'

let server: RedisServer
let tool: Redis
const stores = new Stores()

beforeAll(async () => {
  server = await startRedisServer()
  tool = new Redis(server.port)
})
afterAll(async () => {
  await stores.close()
  tool.disconnect()
  await server.stop()
})

/** A write by another tool, to a key of its own. */
interface Write {
  readonly id: string
  readonly sentAt: number
  readonly ackedAt: number
}

/** What can go wrong with a line, and how it ends. */
const FAULTS: readonly ((line: TcpProxy) => () => void)[] = [
  line => {
    line.cut()
    return () => {}
  },
  line => {
    line.freeze()
    return () => line.resume()
  },
  line => {
    line.delay(40)
    return () => line.delay(0)
  },
  ...(['up', 'down'] as const).map(direction => (line: TcpProxy) => {
    line.drop(direction)
    return () => {
      // A line that lost bytes cannot go on as if nothing was: TCP delivers all of them, in order, or ends.
      line.cut()
      line.drop(undefined)
    }
  }),
]

describe('the moment up to which a Redis store says that it has heard everything', () => {
  it.each(['none', 'link', 'data', 'both'])('is never later than the truth, with faults on: %s', async faulty => {
    const lines = { data: await startTcpProxy(server.port), link: await startTcpProxy(server.port) }
    const ports = { data: lines.data.port, link: lines.link.port }
    const store = stores.create(splitTemplate(ports), {
      heartbeatTimeoutMs: 100,
      commandTimeoutMs: 100,
      reconnectMaxMs: 20,
    })
    const heard: { readonly event: StoreEvent; readonly at: number }[] = []
    store.watch(event => void heard.push({ event, at: performance.now() }))
    const isLive = (): boolean => {
      const last = heard.findLast(({ event }) => event.type === 'link')?.event
      return last?.type === 'link' && last.state === 'live'
    }
    const targets =
      faulty === 'both' ? [lines.data, lines.link] : faulty === 'none' ? [] : [lines[faulty as 'data' | 'link']]

    const writer = startWriter(faulty)
    for (let round = 0; round < 15; round++) {
      await writer.wrote(10 + Math.random() * 20)
      const ends = targets.map(line => FAULTS[Math.floor(Math.random() * FAULTS.length)]!(line))
      // A write takes two milliseconds or so: some faults are over before a beat is missed, others outlast several.
      await writer.wrote(Math.random() * 75)
      for (const end of ends) end()
    }
    const writes = await writer.stop()
    const last = heard.length
    await eventually(
      () => heard.slice(last).some(({ event }) => event.type === 'link') && isLive(),
      'it is live at the end',
    )

    expect(unsound(writes, heard)).toEqual([])
    expect(heard.filter(({ event }) => event.type === 'link').length).toBeGreaterThan(3)
    await stores.close()
    await lines.data.close()
    await lines.link.close()
  })

  it('is not moved by the expiry of one beat that arrives while the next is awaited', async () => {
    const line = await startTcpProxy(server.port)
    // A beat expires 600 ms after it was written, is heard to do so 450 ms later, and the next is sent in between.
    const times = { heartbeatMs: 900, heartbeatTimeoutMs: 600 }
    const store = stores.create(splitTemplate({ data: server.port, link: line.port }), times)
    const heard: { readonly event: StoreEvent; readonly at: number }[] = []
    store.watch(event => void heard.push({ event, at: performance.now() }))
    await eventually(() => heard.some(({ event }) => event.type === 'link'), 'it is live')
    line.delay(450)
    const writer = startWriter('expiry')
    await eventually(() => heard.filter(({ event }) => event.type === 'link').length >= 2, 'the next beat is back')
    expect(unsound(await writer.stop(), heard)).toEqual([])
    expect(heard.filter(({ event }) => event.type === 'link' && event.state === 'blind')).toEqual([])
    await stores.close()
    await line.close()
  })
})

/** Writes all the time, each time another key, until it is stopped. */
function startWriter(name: string) {
  const writes: Write[] = []
  let isOver = false
  const writing = (async () => {
    for (let n = 0; !isOver; n++) {
      const id = `${name}-${n}`
      const sentAt = performance.now()
      await tool.set(encodeRecordKey(key(id)), '{}')
      writes.push({ id, sentAt, ackedAt: performance.now() })
      await delay(1)
    }
  })()
  return {
    /** Resolves after so many writes more. */
    async wrote(count: number): Promise<void> {
      const wanted = writes.length + count
      await eventually(() => writes.length >= wanted, 'it has written')
    },
    async stop(): Promise<readonly Write[]> {
      isOver = true
      await writing
      return writes
    },
  }
}

/** Writes that were over before a moment the store vouched for, and that it had told nothing about by then. */
function unsound(
  writes: readonly Write[],
  heard: readonly { readonly event: StoreEvent; readonly at: number }[],
): string[] {
  const changed = new Set<string>()
  let unknownAt = -Infinity
  let judged = 0
  const wrong: string[] = []
  for (const { event, at } of heard) {
    if (event.type === 'changed') changed.add(event.key.clientId)
    if (event.type === 'unknown') unknownAt = at
    if (event.type !== 'link' || event.state !== 'live') continue
    for (; judged < writes.length && writes[judged]!.ackedAt <= event.at; judged++) {
      const { id, sentAt } = writes[judged]!
      if (!changed.has(id) && unknownAt < sentAt) wrong.push(id)
    }
  }
  return wrong
}
