import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { Stores } from './support.js'

const KEY = key('1528361231', '101')

let server: RedisServer
let replica: RedisServer
let admin: Redis
const stores = new Stores({ commandTimeoutMs: 2_000 })

beforeAll(async () => {
  server = await startRedisServer()
  replica = await startRedisServer(['--replicaof', '127.0.0.1', String(server.port)])
  admin = new Redis(server.port)
  await eventually(async () => {
    await admin.set('probe', '')
    return (await admin.wait(1, 1_000)) === 1
  }, 'the replica answers')
})
afterAll(async () => {
  await stores.close()
  admin.disconnect()
  await Promise.all([replica.stop(), server.stop()])
})

it('a write that demands more replicas than there are tells how many have it', async () => {
  await expect(stores.create(server.url).put(KEY, recordOf('a'), { minReplicas: 2 })).rejects.toMatchObject({
    message: 'not_durable: written, but 1 of 2 demanded replicas have it',
    result: { replicas: 1 },
  })
})

it('writes that wait for replicas leave no connection behind', async () => {
  const store = stores.create(server.url)
  await store.get(KEY)
  const connections = async () => String(await admin.client('LIST')).split(' name=mqtt-warden:data').length - 1
  const before = await connections()
  for (let n = 0; n < 5; n++) await store.put(KEY, recordOf(`n${n}`), { minReplicas: 1 })
  await eventually(async () => (await connections()) === before, 'those of the writes are closed')
})
