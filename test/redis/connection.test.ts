import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeClient } from '../../src/redis/client.js'
import type { Connection } from '../../src/redis/connection.js'
import { CommandFailure } from '../../src/redis/failure.js'
import { Lane } from '../../src/redis/lane.js'
import { resolveOptions } from '../../src/redis/options.js'
import { openLike } from '../../src/redis/template.js'
import { Backoff } from '../../src/redis/time.js'
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
function open(signal: AbortSignal): Promise<Connection> {
  const template = new Redis({ port: server.port, lazyConnect: true }) as unknown as NodeClient
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

  it('is not handed out again by its lane, though its end is not announced yet', async () => {
    const lane = new Lane(open, new Backoff(5, 50))
    const first = await lane.acquire(TIMEOUT_MS)
    first.destroy(GIVEN_UP)
    const second = await lane.acquire(TIMEOUT_MS)
    expect(second).not.toBe(first)
    expect(String(await second.request(['ping'], TIMEOUT_MS))).toBe('PONG')
    await lane.close()
  })
})
