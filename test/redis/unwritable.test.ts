import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { createAuthorizer } from 'mqtt-warden'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RedisStore } from '../../src/redis/index.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { adminOf, present, recordOf, SHARED, stores } from './receipt-support.js'
import { Heard } from './support.js'

const PASSWORD = 'correct horse'
const RECEIPT = { receipt: { timeoutMs: 2_000 } }

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedisServer()
})
beforeEach(async () => {
  admin = adminOf(server)
  await recover()
  await admin.flushall()
})
afterAll(async () => {
  admin = adminOf(server)
  await recover()
  admin.disconnect()
  await server.stop()
})

/** Lets it take writes again, and end. */
async function recover(): Promise<void> {
  await admin.config('SET', 'maxmemory', '0')
  await admin.config('SET', 'save', '')
}

/** Reads fail, those of a store too that hears no changes; alone and together. */
async function expectDisbelief(store: RedisStore): Promise<void> {
  for (const each of [store, stores.create(server.url)]) {
    for (const keys of [[SHARED], [SHARED, { ...SHARED, clientId: 'c' }]]) {
      for (const read of await Promise.allSettled(keys.map(key => each.get(key)))) {
        expect(read).toMatchObject({ status: 'rejected', reason: { code: 'ERR_STORE_UNAVAILABLE' } })
      }
    }
  }
}

/** Why Redis takes no writes, and how that comes about. */
const reasons = [
  {
    code: 'OOM',
    begin: () => admin.config('SET', 'maxmemory', '1'),
    // What frees memory is taken.
    takesDelete: true,
  },
  {
    code: 'MISCONF',
    async begin() {
      const [, dir] = (await admin.config('GET', 'dir')) as [string, string]
      // A folder in the place of the file that it saves to.
      await mkdir(join(dir, 'dump.rdb', 'in-the-way'), { recursive: true })
      await writeFile(join(dir, 'dump.rdb', 'file'), '')
      await admin.config('SET', 'save', '3600 1')
      // It may be at it already.
      await admin.bgsave().catch(() => {})
      await eventually(async () => (await admin.info('persistence')).includes('bgsave_status:err'), 'it fails to save')
    },
    takesDelete: false,
  },
] as const

describe.each(reasons)('a Redis that takes no writes ($code)', ({ code, begin, takesDelete }) => {
  async function node(): Promise<RedisStore> {
    const store = stores.create(server.url, { nodeName: 'n1', heartbeatMs: 50 })
    store.watch(() => {}, { decidesForMs: 500 })
    await new Heard(store).live()
    await present(store, 'n1')
    return store
  }

  it('lets clients in, and keeps the links live', async () => {
    const store = await node()
    const authorizer = createAuthorizer({ store, refusalCapMs: 0 })
    await store.put(SHARED, recordOf('a'))
    await begin()
    const { beats } = store.stats()
    await eventually(() => store.stats().beats >= beats + 3, 'beats are proven')
    const login = { clientId: 'c', username: SHARED.username, password: PASSWORD }
    expect(await authorizer.authenticate(login)).toMatchObject({ allow: true })
    expect(await store.get({ ...SHARED, clientId: 'nobody' })).toBeUndefined()
    await recover()
    await admin.rpush('["","list","u"]', 'x')
    await begin()
    await expect(store.get({ mountpoint: '', clientId: 'list', username: 'u' })).rejects.toMatchObject({
      code: 'ERR_RECORD_INVALID',
    })
    await authorizer.close()
  })

  it('reads a value with an expiry of its own', async () => {
    const store = await node()
    await store.put(SHARED, recordOf('a'))
    await admin.pexpire(JSON.stringify(['', '*', SHARED.username]), 60_000)
    await begin()
    const stored = await store.getStored(SHARED)
    expect(stored!.expiresAtMs! - Date.now()).toBeGreaterThan(30_000)
    expect(stored!.expiresAtMs! - Date.now()).toBeLessThanOrEqual(60_000)
    await recover()
  })

  it('says so to who writes, and confirms nothing that it cannot ask all nodes about', async () => {
    const store = await node()
    await store.put(SHARED, recordOf('a'))
    await begin()
    await expect(store.put(SHARED, recordOf('b'), RECEIPT)).rejects.toThrow(new RegExp(`^redis answered "${code} `))
    if (takesDelete) {
      // Its own lease ran out meanwhile, as would those of others.
      await admin.del('mqtt-warden:nodes')
      const { receipt } = await store.delete(SHARED, RECEIPT)
      expect(receipt).toMatchObject({ confirmed: false, rows: [{ digest: null }] })
      expect(receipt!.failed).toMatch(/others may be missing/)
    } else {
      await expect(store.delete(SHARED, RECEIPT)).rejects.toThrow(new RegExp(`^redis answered "${code} `))
    }
    await recover()
    await eventually(async () => {
      const result = await store.put(SHARED, recordOf('c'), RECEIPT).catch(() => undefined)
      return result?.receipt?.confirmed === true
    }, 'it is writable again')
  })

  it('is told by the check to take no writes, and to be read all the same', async () => {
    const store = stores.create(server.url)
    await begin()
    const findings = await store.check()
    const levelOf = (name: string) => findings.find(({ check }) => check === name)?.level
    expect(levelOf('read')).toBe('ok')
    expect(levelOf('write')).toBe('warning')
  })

  it('is not believed when it has become a replica, though it does not come to say so', async () => {
    const store = stores.create(server.url, { heartbeatMs: 50 })
    const heard = new Heard(store)
    await heard.live()
    await store.put(SHARED, recordOf('a'))
    await begin()
    expect(await store.get(SHARED)).toEqual(recordOf('a'))
    await admin.replicaof('127.0.0.1', '1')
    try {
      await heard.until('changes are not heard any more', () => !heard.isLive)
      await expectDisbelief(store)
    } finally {
      await admin.replicaof('NO', 'ONE')
    }
  })

  it('is not believed when its replicas have left it, though it does not come to say so', async () => {
    const store = stores.create(server.url, { heartbeatMs: 50 })
    const heard = new Heard(store)
    await heard.live()
    await store.put(SHARED, recordOf('a'))
    await begin()
    await admin.config('SET', 'min-replicas-to-write', '1')
    try {
      await heard.until('changes are not heard any more', () => !heard.isLive)
      await expectDisbelief(store)
    } finally {
      await admin.config('SET', 'min-replicas-to-write', '0')
    }
  })

  it('can be connected to', async () => {
    await begin()
    const store = stores.create(server.url)
    await new Heard(store).live()
    expect(await store.get(SHARED)).toBeUndefined()
  })

  it('has its beats written again once it can take them', async () => {
    const store = await node()
    await begin()
    const { beats } = store.stats()
    await eventually(() => store.stats().beats >= beats + 2, 'beats are proven without being written')
    const carriedOut = async () => Number(/cmdstat_set:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0)
    const before = await carriedOut()
    await recover()
    await eventually(async () => (await carriedOut()) > before, 'a beat is written')
  })
})
