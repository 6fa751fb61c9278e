import { type AddressInfo, connect, createServer } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeClient } from '../../src/redis/client.js'
import type { Connection } from '../../src/redis/connection.js'
import { CommandFailure } from '../../src/redis/failure.js'
import { Lane } from '../../src/redis/lane.js'
import { resolveOptions } from '../../src/redis/options.js'
import { openLike } from '../../src/redis/template.js'
import { Backoff } from '../../src/redis/time.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const TIMEOUT_MS = 10_000
const GIVEN_UP = new CommandFailure('lost', 'given up')

let server: RedisServer
let tool: Redis

beforeAll(async () => {
  server = await startRedisServer()
  tool = new Redis(server.port)
})
afterAll(async () => {
  tool.disconnect()
  await server.stop()
})

/** Opens a connection as the store does. */
function open(signal: AbortSignal, port = server.port): Promise<Connection> {
  const template = new Redis({ port, lazyConnect: true }) as unknown as NodeClient
  return openLike(template, resolveOptions({ connectTimeoutMs: TIMEOUT_MS }, ''), { name: 'test', signal })
}

describe('a connection that was given up', () => {
  it('hears nothing more, not even what arrived together with the message that it was given up at', async () => {
    const connection = await open(new AbortController().signal)
    const heard: string[] = []
    connection.listen((_, payload) => {
      heard.push(String(payload))
      connection.destroy(GIVEN_UP)
    })
    await connection.request(['subscribe', 'news'], TIMEOUT_MS)
    // Redis sends what one transaction published in one piece.
    await tool.multi().publish('news', 'first').publish('news', 'second').exec()
    await connection.ended
    expect(heard).toEqual(['first'])
    expect(await connection.lost).toBe(GIVEN_UP)
  })

  it('sends nothing any more, and says that it did not', async () => {
    const connection = await open(new AbortController().signal)
    connection.destroy(GIVEN_UP)
    await expect(connection.request(['ping'], TIMEOUT_MS)).rejects.toMatchObject({
      kind: 'unsent',
      message: 'given up',
    })
  })

  it.each([
    ['in order where nothing was under way', 'end', 0],
    ['with a reset where something was, so that nothing of it is delivered later', 'reset', 1],
  ])('is closed %s', async (_, expected, underWay) => {
    const ends: string[] = []
    let sent = ''
    const line = createServer(socket => {
      const upstream = connect(server.port, '127.0.0.1')
      socket.on('data', data => (sent += data))
      socket.once('end', () => ends.push('end'))
      socket.once('error', () => ends.push('reset'))
      socket.once('close', () => upstream.destroy())
      socket.pipe(upstream).pipe(socket)
    })
    await new Promise<void>(resolve => line.listen(0, '127.0.0.1', resolve))
    const connection = await open(new AbortController().signal, (line.address() as AddressInfo).port)
    const requests = Array.from({ length: underWay }, () => connection.request(['blpop', 'nothing', '0'], TIMEOUT_MS))
    await eventually(() => sent.split('nothing').length > underWay, 'it is under way')
    connection.destroy(GIVEN_UP)
    for (const request of requests) await expect(request).rejects.toMatchObject({ kind: 'lost' })
    await eventually(() => ends.length > 0, 'the other side knows')
    expect(ends).toEqual([expected])
    line.close()
  })
})

describe('a lane', () => {
  /** Opens connections as long as it may, and counts the attempts. */
  function opening() {
    const state = { opened: 0, isDown: false }
    const attempt = async (signal: AbortSignal): Promise<Connection> => {
      state.opened++
      if (state.isDown) throw GIVEN_UP
      return open(signal)
    }
    return { state, attempt }
  }

  it('does not hand out again a connection that was given up, though its end is not announced yet', async () => {
    const { state, attempt } = opening()
    const lane = new Lane(attempt, new Backoff(0, 0))
    const first = await lane.acquire(TIMEOUT_MS)
    first.destroy(GIVEN_UP)
    const second = await lane.acquire(TIMEOUT_MS)
    expect(second).not.toBe(first)
    expect(String(await second.request(['ping'], TIMEOUT_MS))).toBe('PONG')
    expect(state.opened).toBe(2)
    await lane.close()
  })

  it('waits between attempts, save for who knows that the server can be reached', async () => {
    const { state, attempt } = opening()
    const lane = new Lane(attempt, new Backoff(60_000, 60_000))
    state.isDown = true
    await expect(lane.acquire(TIMEOUT_MS)).rejects.toMatchObject({ kind: 'unsent' })
    await eventually(() => state.opened === 2, 'it has tried again at once')
    state.isDown = false
    await expect(lane.acquire(TIMEOUT_MS)).rejects.toMatchObject({ kind: 'unsent' })
    expect(state.opened).toBe(2)
    const connection = await lane.acquire(TIMEOUT_MS, true)
    expect(connection.isUsable).toBe(true)
    expect(await lane.acquire(TIMEOUT_MS)).toBe(connection)
    await lane.close()
  })

  it('has callers wait for the attempt that follows a loss, whatever went wrong before', async () => {
    const { state, attempt } = opening()
    const lane = new Lane(attempt, new Backoff(0, 0))
    state.isDown = true
    await expect(lane.acquire(TIMEOUT_MS)).rejects.toMatchObject({ kind: 'unsent' })
    state.isDown = false
    await eventually(() => lane.acquire(TIMEOUT_MS).then(Boolean, () => false), 'it is back')
    const first = await lane.acquire(TIMEOUT_MS)
    first.destroy(GIVEN_UP)
    expect((await lane.acquire(TIMEOUT_MS)).isUsable).toBe(true)
    await lane.close()
  })

  it('ends with all that was opened beside it', async () => {
    const lane = new Lane(open, new Backoff(5, 50))
    const apart = await lane.openApart()
    expect(apart.isUsable).toBe(true)
    await lane.close()
    expect(await apart.lost).toMatchObject({ message: 'store is closed' })
    await expect(lane.openApart()).rejects.toMatchObject({ kind: 'unsent' })
  })
})
