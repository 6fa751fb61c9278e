import { Redis } from 'ioredis'
import { encodeRecordKey } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { expect, it } from 'vitest'
import { account, client, key, onEnd, stage } from '../aedes/setup.js'
import { eventually } from '../helpers/eventually.js'
import { startRedisServer } from '../helpers/redis-server.js'

it('a record that Redis lets expire cuts its client when its time is over, and not before', async () => {
  const server = await startRedisServer()
  onEnd(() => server.stop())
  const admin = new Redis(server.port)
  onEnd(() => admin.disconnect())
  const store = createRedisStore(server.url, { heartbeatMs: 50 })
  onEnd(() => store.close())
  await store.put(key('sensor'), account(['a'], ['a']))
  const { port, authorizer } = await stage({ store })
  await authorizer.ready()
  const revoked = new Promise<string>(resolve => authorizer.once('revoked', ({ cause }) => resolve(cause)))
  const connected = await client(port, 'sensor', { clientId: 's1' })
  const startedAt = performance.now()
  // By any tool, on a record that is in use.
  await admin.pexpire(encodeRecordKey(key('sensor')), 700)
  expect(await revoked).toBe('expired')
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(600)
  await eventually(() => !connected.connected, 'its client is cut')
})
