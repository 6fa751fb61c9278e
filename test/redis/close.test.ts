import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OutcomeUnknown, StoreUnavailable } from '../../src/errors.js'
import { key, recordOf } from '../contract/record-store.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { Heard, Stores } from './support.js'

let server: RedisServer
let frozen: TcpProxy
const stores = new Stores()

beforeAll(async () => {
  server = await startRedisServer()
  frozen = await startTcpProxy(server.port)
  frozen.freeze()
})
afterAll(async () => {
  await stores.close()
  await frozen.close()
  await server.stop()
})

describe('a process that closes its Redis stores', () => {
  it('ends by itself and in silence, whatever the stores were doing', { timeout: 60_000 }, async () => {
    const script = new URL('./children/closing.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--import', 'tsx', script, server.url, String(frozen.port)])
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said += chunk))
    // Everything that a store waits for takes a minute there, so what was left open would show.
    const timer = setTimeout(() => child.kill('SIGKILL'), 45_000)
    const outcome = await new Promise(resolve => {
      child.once('close', (code, signal) => resolve({ code, signal }))
    })
    clearTimeout(timer)
    expect({ outcome, said }).toEqual({ outcome: { code: 0, signal: null }, said: '' })
  })
})

describe('closing a Redis store', () => {
  it('answers at once what would have had to wait', async () => {
    const store = stores.create(
      { port: frozen.port, host: '127.0.0.1' },
      { commandTimeoutMs: 60_000, connectTimeoutMs: 60_000 },
    )
    const calls = [store.get(key('c')), store.put(key('c'), recordOf('a')), store.scan()[Symbol.asyncIterator]().next()]
    const outcomes = Promise.allSettled(calls)
    await store.close()
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_STORE_UNAVAILABLE' } })
    }
  })

  it('leaves open what became of a write that was sent', async () => {
    const line = await startTcpProxy(server.port)
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { commandTimeoutMs: 60_000 })
    await store.get(key('c'))
    line.freeze()
    const write = store.put(key('c'), recordOf('a')).catch((reason: unknown) => reason)
    const read = store.get(key('c')).catch((reason: unknown) => reason)
    await new Promise(setImmediate)
    await store.close()
    expect(await write).toBeInstanceOf(OutcomeUnknown)
    expect(await read).toBeInstanceOf(StoreUnavailable)
    await line.close()
  })

  it('waits for the last listener, and calls none afterwards', async () => {
    const store = stores.create(server.url)
    const heard = new Heard(store)
    await heard.live()
    await store.close()
    expect(heard.events.at(-1)).toMatchObject({ type: 'link', state: 'blind' })
    const before = heard.events.length
    const other = stores.create(server.url)
    await other.put(key('c'), recordOf('a'))
    expect(heard.events.length).toBe(before)
    expect(store.stats().state).toBe('blind')
  })
})
