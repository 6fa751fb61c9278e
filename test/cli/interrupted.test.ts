import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { launch, type Running } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const KEY = '["","c","u"]'
const RECORD = JSON.stringify({ passhash: `$2a$04$${'a'.repeat(53)}`, publish_acl: [], subscribe_acl: [] })

let redis: RedisServer
let admin: Redis

beforeAll(async () => {
  redis = await startRedisServer()
  admin = new Redis(redis.port)
})
afterEach(async () => {
  await admin.call('CLIENT', 'UNPAUSE')
  await admin.flushall()
})
afterAll(async () => {
  admin.disconnect()
  await redis.stop()
})

/** A command that waits for a node that never answers, if it comes so far. */
async function start(args: readonly string[], input = ''): Promise<Running> {
  await listSilentNode()
  const running = launch([...args, '--receipt', '600000'], { REDIS_URL: redis.url })
  running.child.stdin!.end(input)
  return running
}

async function listSilentNode(): Promise<void> {
  const node = { id: 'silent.1.000000000000', name: 'silent', pid: 1, startedAt: Date.now(), leaseMs: 600_000 }
  await admin.zadd('mqtt-warden:nodes', Date.now() + 600_000, JSON.stringify(node))
}

const asks = async (): Promise<number> => (await admin.keys('mqtt-warden:ask:*')).length

describe('a command that is interrupted while it waits for the nodes', () => {
  it('says that the record is written', async () => {
    const { child, ended } = await start(['put', 'c', 'u', '-f', '-'], RECORD)
    await eventually(async () => (await asks()) > 0, 'the nodes are asked')
    child.kill('SIGINT')
    const { code, stdout, stderr } = await ended
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
    expect(stderr).toBe(`mqtt-warden: interrupted: written ${KEY}, but not confirmed by every node\n`)
    expect(await admin.exists(KEY)).toBe(1)
  })

  it('says that the record is deleted', async () => {
    await admin.set(KEY, RECORD)
    const { child, ended } = await start(['delete', 'c', 'u'])
    await eventually(async () => (await asks()) > 0, 'the nodes are asked')
    child.kill('SIGINT')
    expect(await ended).toMatchObject({
      code: 130,
      stderr: expect.stringContaining(`interrupted: deleted ${KEY}, but`),
    })
  })
})

it('a command that is interrupted before it has written says so', async () => {
  await admin.call('CLIENT', 'PAUSE', '600000', 'WRITE')
  const { child, ended } = launch(['put', 'c', 'u', '-f', '-'], { REDIS_URL: redis.url })
  child.stdin!.end(RECORD)
  const isWaiting = async () => /name=mqtt-warden:data .* cmd=set/.test(String(await admin.client('LIST')))
  await eventually(isWaiting, 'the write is held back')
  child.kill('SIGINT')
  const { code, stderr } = await ended
  expect(code).toBe(130)
  expect(stderr).toMatch(/^mqtt-warden: interrupted: (?:nothing was written when last looked|it may have been written)/)
})
