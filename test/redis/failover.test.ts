import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisSentinels, roleOf, startRedisSentinels } from '../helpers/redis-sentinel.js'
import { Heard, Stores, textOf } from './support.js'
import { Traffic } from './traffic.js'

const KEY = key('1528361231', '101')
const NAME = encodeRecordKey(KEY)

let group: RedisSentinels
const stores = new Stores()

describe('a Redis store whose master is replaced by the sentinels', () => {
  beforeEach(async () => {
    group = await startRedisSentinels()
  })
  afterEach(async () => {
    await stores.close()
    await group.stop()
  })

  it.each([
    ['options', () => group.options],
    ['a client of ioredis 5', () => new Redis5({ ...(group.options as object), lazyConnect: true })],
  ])('follows to the new one during traffic, given %s', async (_, target) => {
    const store = stores.create(target())
    const heard = new Heard(store)
    await heard.live()
    await store.put(KEY, recordOf('before'))
    expect(store.links()).toMatchObject([{ server: `127.0.0.1:${group.master.port}`, state: 'live' }])
    const traffic = new Traffic(store, KEY, [KEY])
    const { written } = traffic
    const from = heard.events.length
    group.master.freeze()
    const successor = await group.replaced(group.master)
    await heard.until('the link follows', () => heard.story(from).includes('unknown') && heard.isLive)
    const count = written.length
    await eventually(() => written.length > count + 3, 'writes succeed again')
    await traffic.stop()
    expect(heard.story(from)).toContain('blind')
    expect(store.links()).toMatchObject([{ server: `127.0.0.1:${successor.port}`, state: 'live' }])
    const tool = new Redis(successor.port)
    expect(await tool.get(NAME)).toContain(`"${written.at(-1)}"`)

    const position = heard.events.length
    group.master.thaw()
    await eventually(async () => (await roleOf(group.master)) === 'slave', 'the old master is a replica', 20_000)
    await tool.set(NAME, textOf('by another tool'))
    tool.disconnect()
    await heard.until('the change is heard', () => heard.changed(KEY, position))
    expect((await store.get(KEY))?.publishAcl[0]?.pattern).toBe('by another tool')
    expect(store.links()).toMatchObject([{ server: `127.0.0.1:${successor.port}` }])
  })
})
