import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { adminOf, namesOf, present, recordOf, SHARED, startNodes, stores } from './receipt-support.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedisServer()
})
beforeEach(async () => {
  await adminOf(server).flushall()
})
afterAll(() => server.stop())

describe('a receipt of three nodes', () => {
  it('tells of each what it read and did, and names those that are silent until they are forgotten', async () => {
    const writer = stores.create(server.url, { commandTimeoutMs: 2_000 })
    await writer.put(SHARED, recordOf('a/#', 'b', 'c'))
    const [, second, third] = await startNodes(server.url, 'n1', 'n2', 'n3')
    await present(writer, 'n1', 'n2', 'n3')

    const narrowed = await writer.put(SHARED, recordOf('a/#'), { receipt: { timeoutMs: 20_000 } })
    expect(narrowed.receipt).toMatchObject({ confirmed: true, silent: [] })
    const rows = narrowed.receipt!.rows
    expect(namesOf(rows.map(({ node }) => node))).toEqual(['n1', 'n2', 'n3'])
    for (const row of rows) {
      expect(row).toMatchObject({ digest: narrowed.digest, sessionsCut: 0, subscriptionsDropped: 2 })
      expect(row.ms).toBeGreaterThanOrEqual(0)
    }

    third!.kill('SIGSTOP')
    const deleted = await writer.delete(SHARED, { receipt: { timeoutMs: 500 } })
    expect(namesOf(deleted.receipt!.silent)).toEqual(['n3'])
    expect(deleted.receipt).toMatchObject({ confirmed: false })
    expect(deleted.receipt!.rows.map(({ digest, sessionsCut }) => [digest, sessionsCut])).toEqual([
      [null, 1],
      [null, 1],
    ])

    // The one that stands still is forgotten once it could decide by nothing old any more, and comes back.
    second!.kill('SIGTERM')
    await present(writer, 'n1')
    const alone = await writer.put(SHARED, recordOf('d'), { receipt: { timeoutMs: 20_000 } })
    expect(alone.receipt).toMatchObject({ confirmed: true, silent: [] })
    expect(alone.receipt!.rows).toHaveLength(1)
    third!.kill('SIGCONT')
    await present(writer, 'n1', 'n3')
  })

  it('does not wait for a node that is closed in order, and names one that was killed', async () => {
    const writer = stores.create(server.url, { commandTimeoutMs: 2_000 })
    await writer.put(SHARED, recordOf('a/#', 'b', 'c'))
    const [first, second] = await startNodes(server.url, 'n1', 'n2')
    await present(writer, 'n1', 'n2')
    second!.kill('SIGKILL')
    const [silent] = (await writer.nodes()).filter(({ name }) => name === 'n2')
    const { receipt } = await writer.put(SHARED, recordOf('a/#'), { receipt: { timeoutMs: 300 } })
    expect(receipt!.silent).toEqual([silent!.id])
    const [{ node, seenMs, leftMs } = { node: '', seenMs: 0, leftMs: 0 }] = receipt!.silentNodes
    expect({ node, leaseMs: seenMs + leftMs }).toEqual({ node: silent!.id, leaseMs: silent!.leaseMs })
    expect(seenMs).toBeGreaterThanOrEqual(300)
    first!.kill('SIGTERM')
    await once(first!, 'exit')
    expect((await writer.nodes()).map(({ name }) => name)).not.toContain('n1')
  })

  it('cannot be forged by who may only PUBLISH', async () => {
    const writer = stores.create(server.url, { commandTimeoutMs: 2_000 })
    const admin = adminOf(server)
    await writer.put(SHARED, recordOf('a/#', 'b', 'c'))
    const [node] = await startNodes(server.url, 'n1')
    await present(writer, 'n1')
    node!.kill('SIGSTOP')
    const [info] = await writer.nodes()
    let isOver = false
    const written = writer.put(SHARED, recordOf(), { receipt: { timeoutMs: 1_000 } }).finally(() => (isOver = true))
    let forged = 0
    while (!isOver) {
      const [ask] = await admin.keys('mqtt-warden:ask:*')
      if (ask === undefined) continue
      const answer = JSON.stringify({ digest: 'a'.repeat(64), sessionsCut: 0, subscriptionsDropped: 0 })
      const row = `${ask.replace('ask:', 'row:')}:${info!.id}`
      for (const channel of [row, ask, 'mqtt-warden:#', '__redis__:invalidate']) await admin.publish(channel, answer)
      forged++
    }
    expect(forged).toBeGreaterThan(0)
    expect((await written).receipt).toMatchObject({ confirmed: false, rows: [], silent: [info!.id] })
  })
})
