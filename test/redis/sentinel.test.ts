import { Redis } from 'ioredis'
import { createAuthorizer } from 'mqtt-warden'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisSentinels, roleOf, startRedisSentinels } from '../helpers/redis-sentinel.js'
import type { RedisServer } from '../helpers/redis-server.js'
import { Heard, Stores, textOf } from './support.js'

const KEY = key('1528361231', '101')
const NAME = encodeRecordKey(KEY)

let group: RedisSentinels
const stores = new Stores()

/** Writes a record to one server as another tool would. */
async function writeOn({ port }: RedisServer, pattern: string): Promise<void> {
  const tool = new Redis(port)
  await tool.set(NAME, textOf(pattern))
  tool.disconnect()
}

describe('a Redis store on a master that sentinels name', () => {
  beforeEach(async () => {
    group = await startRedisSentinels()
  })
  afterEach(async () => {
    await stores.close()
    await group.stop()
  })

  it('leaves a master that was cut off from the sentinels, though it still answers', async () => {
    const store = stores.create(group.options)
    const heard = new Heard(store)
    await store.put(KEY, recordOf('before'))
    await heard.live()
    const from = heard.events.length
    group.masterLine.freeze()
    const successor = await group.replaced(group.master)
    await writeOn(successor, 'after')
    await heard.until('the link follows', () => heard.story(from).includes('unknown') && heard.isLive)
    expect(await roleOf(group.master)).toBe('master')
    expect((await store.get(KEY))?.publishAcl[0]?.pattern).toBe('after')
    await store.put(KEY, recordOf('own'))
    const old = new Redis(group.master.port)
    expect(await old.get(NAME)).toContain('"before"')
    old.disconnect()
  })

  it('refuses to read where most sentinels cannot be asked, and returns when they can', async () => {
    const store = stores.create(group.options)
    const heard = new Heard(store)
    await store.put(KEY, recordOf('before'))
    await heard.live()
    const away = group.sentinels.slice(1)
    for (const { line } of away) line.freeze()
    await heard.blind()
    await expect(store.get(KEY)).rejects.toThrow(StoreUnavailable)
    await expect(store.get(KEY)).rejects.toThrow(/fewer than 2 of 3 sentinels agree on a master/)
    for (const { line } of away) line.resume()
    await heard.live()
    expect((await store.get(KEY))?.publishAcl[0]?.pattern).toBe('before')
  })

  it('does not mind the loss of one sentinel', async () => {
    const store = stores.create(group.options)
    const heard = new Heard(store)
    await heard.live()
    const from = heard.events.length
    group.sentinels[0]!.line.freeze()
    const { beats } = store.stats()
    await heard.until('beats go on', () => store.stats().beats > beats + 20)
    expect(heard.story(from)).not.toContain('blind')
  })

  it('decides for no session by what the old master still says', async () => {
    const store = stores.create(group.options)
    await store.put(KEY, recordOf('a'))
    await using authorizer = createAuthorizer({ store, staleWindowMs: 2_000, readTimeoutMs: 1_000, outageGraceMs: 0 })
    authorizer.on('error', () => {})
    await authorizer.ready()
    const ask = async () => (await authorizer.authorizePublish(KEY, 'a')).allow
    expect(await ask()).toBe(true)
    group.masterLine.freeze()
    const successor = await group.replaced(group.master)
    const revokedAt = performance.now()
    const tool = new Redis(successor.port)
    await tool.del(NAME)
    tool.disconnect()
    await eventually(async () => !(await ask()), 'the right is gone')
    expect(performance.now() - revokedAt).toBeLessThan(authorizer.freshness().boundMs + 2_000)
    await eventually(() => authorizer.freshness().state === 'live', 'the link is live again')
    expect(await ask()).toBe(false)
  })
})
