import { describe, expect, it, vi } from 'vitest'
import { RecordConflict, RecordInvalid, StoreTimeout, StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { startRedisServer } from '../helpers/redis-server.js'
import { callsOf, failureOf, KEY, line, NAME, server, stores, tool } from './one-server.js'
import { textOf } from './support.js'

describe('a read of a Redis store', () => {
  it('times out on a line that is frozen, and works again when a new one does', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' })
    await tool.set(NAME, textOf('a'))
    await store.get(KEY)
    line.freeze()
    const { error, tookMs } = await failureOf(store.get(KEY))
    expect(error).toBeInstanceOf(StoreTimeout)
    expect(error).toMatchObject({ timeoutMs: 300, message: 'redis did not answer within 300 ms' })
    expect(tookMs).toBeLessThan(2_000)
    line.resume()
    await eventually(
      () =>
        store.get(KEY).then(
          () => true,
          () => false,
        ),
      'the store is back',
    )
    expect((await store.get(KEY))?.publishAcl[0]?.pattern).toBe('a')
  })

  it('is not disturbed by a pause shorter than its timeout', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { commandTimeoutMs: 5_000 })
    await tool.set(NAME, textOf('a'))
    await store.get(KEY)
    line.freeze()
    const read = store.get(KEY)
    await eventually(() => true, 'a turn has passed')
    line.resume()
    expect((await read)?.publishAcl[0]?.pattern).toBe('a')
  })

  it('gets its answer though this process was too busy to look for longer than the timeout', async () => {
    const store = stores.create(server.url)
    await store.get(KEY)
    const read = store.get(KEY)
    // The commands are handed to the socket within this turn of the event loop; their answer can come in the next.
    for (let n = 0; n < 100; n++) await null
    const until = performance.now() + 400
    while (performance.now() < until);
    expect(await read).toBeUndefined()
  })

  it('waits for a first connection no longer than for an answer', async () => {
    line.freeze()
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { connectTimeoutMs: 10_000 })
    const { error, tookMs } = await failureOf(store.get(KEY))
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(tookMs).toBeGreaterThan(250)
    expect(tookMs).toBeLessThan(2_000)
  })

  it('fails at once while Redis is known to be down, and works by itself when it is back', async () => {
    const own = await startRedisServer()
    const store = stores.create(own.url, { commandTimeoutMs: 20_000, connectTimeoutMs: 20_000 })
    await store.put(KEY, recordOf('a'))
    await own.kill()
    await eventually(
      () =>
        store.get(KEY).then(
          () => false,
          () => true,
        ),
      'the loss is noticed',
    )
    const { error, tookMs } = await failureOf(store.get(KEY))
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(error).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', cause: { kind: 'unsent' } })
    expect(tookMs).toBeLessThan(5_000)
    expect((await failureOf(store.put(KEY, recordOf('b')))).error).toBeInstanceOf(StoreUnavailable)
    expect((await failureOf(store.scan()[Symbol.asyncIterator]().next())).error).toBeInstanceOf(StoreUnavailable)
    await own.restart()
    await eventually(
      () =>
        store.get(KEY).then(
          () => true,
          () => false,
        ),
      'the store is back',
    )
    expect(await store.get(KEY)).toBeUndefined()
    await stores.close()
    await own.stop()
  })

  it('names the cause when nothing listens there', async () => {
    const own = await startRedisServer()
    await own.kill()
    const { error } = await failureOf(stores.create(own.url).get(KEY))
    expect(String(error)).toContain('ECONNREFUSED')
    await own.stop()
  })

  it('refuses a value that is no string', async () => {
    await tool.lpush(NAME, 'x')
    const store = stores.create(server.url)
    for (const call of [store.get(KEY), store.getStored(KEY), store.put(KEY, recordOf('a'))]) {
      const { error } = await failureOf(call)
      expect(error).toBeInstanceOf(RecordInvalid)
      expect(error).toMatchObject({ path: '', message: 'record: is not a string in redis' })
    }
    await store.delete(KEY)
    await store.put(KEY, recordOf('a'))
  })

  it.each([
    ['no JSON', 'nonsense'],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['nothing', ''],
  ])('refuses a value of %s', async (_, value) => {
    await tool.set(NAME, value)
    const { error } = await failureOf(stores.create(server.url).get(KEY))
    expect(error).toBeInstanceOf(RecordInvalid)
  })

  it('refuses a value, and a record to write, larger than allowed', async () => {
    const store = stores.create(server.url, { maxRecordBytes: 200 })
    await tool.set(NAME, textOf('a'.repeat(200)))
    expect((await failureOf(store.get(KEY))).error).toBeInstanceOf(RecordInvalid)
    expect((await failureOf(store.put(KEY, recordOf('a'.repeat(200))))).error).toBeInstanceOf(RecordInvalid)
    await store.put(KEY, recordOf('a'))
  })

  it('follows the semantics of the store', async () => {
    const text = textOf('a').replace('{"pattern":"a"}', '{"pattern":"a","max_qos":"0"}')
    await tool.set(NAME, text)
    expect((await failureOf(stores.create(server.url).get(KEY))).error).toBeInstanceOf(RecordInvalid)
    const lenient = stores.create(server.url, { semantics: 'vernemq' })
    expect(lenient.semantics).toBe('vernemq')
    expect((await lenient.get(KEY))?.publishAcl).toEqual([{ pattern: 'a' }])
  })

  it('tells when Redis will drop the record, in time of this machine and never too late', async () => {
    const store = stores.create(server.url)
    await tool.set(NAME, textOf('a'))
    expect(await store.getStored(KEY)).not.toHaveProperty('expiresAtMs')
    const before = Date.now()
    await tool.pexpire(NAME, 60_000)
    const stored = await store.getStored(KEY)
    expect(stored?.expiresAtMs).toBeGreaterThan(before + 50_000)
    expect(stored?.expiresAtMs).toBeLessThanOrEqual(Date.now() + 60_000)
  })

  it('counts the time that is left to a record from before it asked, however late the answer comes', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { commandTimeoutMs: 30_000 })
    await tool.set(NAME, textOf('a'), 'PX', 60_000)
    await store.get(KEY)
    const clock = vi.spyOn(Date, 'now').mockReturnValue(1_000_000)
    line.freeze()
    const read = store.getStored(KEY)
    await eventually(() => line.held('up').includes('getrange'), 'it has asked')
    clock.mockReturnValue(1_030_000)
    line.resume()
    const stored = await read
    clock.mockRestore()
    expect(stored?.expiresAtMs).toBeGreaterThan(1_000_000)
    expect(stored?.expiresAtMs).toBeLessThanOrEqual(1_060_000)
  })

  it('gives the digest by which a record of another tool can be replaced', async () => {
    const store = stores.create(server.url)
    await tool.set(NAME, ` ${textOf('a')} `)
    const stored = await store.getStored(KEY)
    await tool.set(NAME, textOf('a'))
    await expect(store.put(KEY, recordOf('b'), { ifMatch: stored!.digest })).rejects.toThrow(RecordConflict)
    const now = await store.getStored(KEY)
    expect(await store.put(KEY, recordOf('b'), { ifMatch: now!.digest })).toMatchObject({ replaced: true })
  })
})

describe('a scan of a Redis store', () => {
  it('skips what is no record key, and keys outside the prefix', async () => {
    const store = stores.create(server.url, { keyPrefix: 'a?*[' })
    await store.put(KEY, recordOf('a'))
    for (const name of [NAME, `ab[${NAME}`, `a?*[x`, `a?*[["x"]`, `a?*[["", "c","u"]`]) await tool.set(name, 'x')
    const found = []
    for await (const each of store.scan()) found.push(each)
    expect(found).toEqual([KEY])
  })

  it('does not block Redis with one command for all keys', async () => {
    const batch = tool.pipeline()
    for (let n = 0; n < 3_000; n++) batch.set(encodeRecordKey(key(`c${n}`)), '{}')
    await batch.exec()
    const [before, keysBefore] = [await callsOf('scan'), await callsOf('keys')]
    const found = new Set()
    for await (const { clientId } of stores.create(server.url).scan()) found.add(clientId)
    expect(found.size).toBe(3_000)
    expect(await callsOf('scan')).toBeGreaterThan(before + 3)
    expect(await callsOf('keys')).toBe(keysBefore)
  })

  it('may be left early', async () => {
    const store = stores.create(server.url)
    for (let n = 0; n < 5; n++) await store.put(key(`c${n}`), recordOf('a'))
    for await (const each of store.scan()) {
      expect(each.username).toBe('u')
      break
    }
    expect(await store.get(key('c0'))).toBeDefined()
  })
})
