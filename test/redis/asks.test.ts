import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import { key } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'
import { Heard, PATIENT, Stores, splitTemplate } from './support.js'

it('a node that is asked more than it can keep drops what is beyond, and answers the others', async () => {
  const server = await startRedisServer()
  const line = await startTcpProxy(server.port)
  const stores = new Stores(PATIENT)
  const store = stores.create(splitTemplate({ data: line.port, link: server.port }))
  store.watch(() => {}, { decidesForMs: 500 })
  await new Heard(store).live()
  line.freeze()
  const admin = new Redis(server.port)
  const batch = admin.pipeline()
  const question = JSON.stringify({ key: encodeRecordKey(key('c')), sinceMs: 0 })
  for (let n = 0; n < 300; n++) {
    batch.set(`mqtt-warden:ask:{00000000-0000-0000-0000-${String(n).padStart(12, '0')}}`, question)
  }
  await batch.exec()
  // Sixteen are being answered, 256 wait.
  await eventually(() => store.stats().droppedAsks === 300 - 16 - 256, 'the others are dropped')
  line.resume()
  await eventually(() => store.stats().answeredAsks === 16 + 256, 'those are answered')
  expect(store.stats()).toMatchObject({ droppedAsks: 28 })
  await stores.close()
  admin.disconnect()
  await line.close()
  await server.stop()
})
