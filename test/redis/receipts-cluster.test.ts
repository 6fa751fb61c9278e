import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { key } from '../contract/record-store.js'
import { type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { present, recordOf, SHARED, startNodes, stores } from './receipt-support.js'

describe('receipts on a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster.stop())

  it('come from every node, wherever the record is kept', async () => {
    const ports = cluster.members.map(({ server: { port } }) => port)
    const client = new Cluster(
      ports.map(port => ({ host: '127.0.0.1', port })),
      { lazyConnect: true },
    )
    const writer = stores.create(client as never, { commandTimeoutMs: 2_000 })
    await writer.put(SHARED, recordOf('a/#', 'b', 'c'))
    await startNodes(ports.join(), 'n1', 'n2')
    await present(writer, 'n1', 'n2')
    for (const [n, each] of ['n1-client', 'n2-client', 'c3', 'c4', 'c5', 'c6'].entries()) {
      const { receipt } = await writer.put(key(each), recordOf('a/#'), { receipt: { timeoutMs: 20_000 } })
      expect(receipt).toMatchObject({ confirmed: true, silent: [] })
      // An exact record over the `*` one: its password was not proven.
      expect(receipt!.rows.reduce((sum, row) => sum + row.sessionsCut, 0)).toBe(n < 2 ? 1 : 0)
    }
    const options = { receipt: { timeoutMs: 20_000 }, minReplicas: 1 }
    const refused = { result: { replicas: 0, receipt: { confirmed: true } } }
    await expect(writer.put(SHARED, recordOf('d'), options)).rejects.toMatchObject(refused)
    client.disconnect()
  })
})
