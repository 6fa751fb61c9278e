import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RedisFinding, RedisTarget } from '../../src/redis/index.js'
import { type RedisSentinels, startRedisSentinels } from '../helpers/redis-sentinel.js'
import { Stores } from './support.js'

const stores = new Stores()
let group: RedisSentinels
let place: string
beforeAll(async () => {
  group = await startRedisSentinels()
  place = `127.0.0.1:${group.master.port}`
}, 60_000)
afterAll(async () => {
  await stores.close()
  await group.stop()
})

async function check(target: RedisTarget = group.options): Promise<Record<string, RedisFinding>> {
  const store = stores.create(target, { commandTimeoutMs: 500 })
  const findings = await store.check()
  await store.close()
  return Object.fromEntries(findings.map(finding => [`${finding.check} ${finding.level}`, finding]))
}

describe('the check of sentinels', () => {
  it('tells how many name the master, their quorum, and how far behind the replicas are', async () => {
    const found = await check()
    expect(found['sentinels ok']).toEqual({
      server: place,
      check: 'sentinels',
      level: 'ok',
      message: `3 of 3 name ${place} as the master "records"`,
    })
    expect(found['quorum ok']!.message).toBe(
      '2 have to agree: 3 usable Sentinels. Quorum and failover authorization can be reached',
    )
    const replicas = group.replicas.map(({ port }) => `127\\.0\\.0\\.1:${port} heard [01] s ago, \\d+ bytes behind`)
    for (const text of replicas) expect(found['replicas ok']!.message).toMatch(new RegExp(text))
    expect(found['topology warning']!.message).toContain('a master that a split has cut off is lost')
  })

  it('has nothing to say against a master that stops writing alone', async () => {
    const master = new Redis(group.master.port)
    await master.config('SET', 'min-replicas-to-write', '1')
    expect(Object.values(await check()).filter(({ level }) => level !== 'ok')).toEqual([])
    await master.config('SET', 'min-replicas-to-write', '0')
    master.disconnect()
  })

  it('counts a sentinel that is listed twice once: it is no majority by itself', async () => {
    const [first] = group.options.sentinels!
    const found = await check({ ...group.options, sentinels: [first!, first!, { host: '127.0.0.1', port: 1 }] })
    expect(found['sentinels failed']!.message).toContain(`1 of 2 name ${place}`)
    expect(found['connection failed']!.message).toContain('fewer than 2 of 2 sentinels agree on a master')
  })

  it('warns of sentinels that are not listed', async () => {
    const found = await check({ ...group.options, sentinels: group.options.sentinels!.slice(0, 1) })
    expect(found['sentinels warning']).toMatchObject({
      message: '3 sentinels watch the master, of which 1 are listed',
      remedy: 'list them all: a master is believed if most name it',
    })
    expect(found['sentinels ok']!.message).toBe(`1 of 1 name ${place} as the master "records"`)
  })

  it('warns where a failover would find no quorum', async () => {
    const setQuorum = async (quorum: number): Promise<void> => {
      for (const { admin } of group.sentinels) await admin.call('SENTINEL', 'SET', 'records', 'quorum', quorum)
    }
    await setQuorum(4)
    const found = await check()
    expect(found['quorum warning']).toMatchObject({
      message: expect.stringContaining('NOQUORUM 3 usable Sentinels'),
      remedy: expect.stringContaining('start the sentinels that are missing'),
    })
    await setQuorum(2)
  })

  it('says which right is missing to see the quorum', async () => {
    const rights = ['+ping', '+sentinel|get-master-addr-by-name']
    for (const { admin } of group.sentinels) await admin.call('ACL', 'SETUSER', 'eye', 'on', '>x', '-@all', ...rights)
    const login = { sentinelUsername: 'eye', sentinelPassword: 'x' }
    const found = await check({ ...group.options, ...login })
    expect(found['sentinels ok']).toBeDefined()
    expect(found['quorum info']!.remedy).toBe('grant +sentinel|ckquorum')
    const blind = await check({ ...group.options, ...login, sentinelPassword: 'wrong' })
    expect(blind['sentinels failed']!.message).toContain('WRONGPASS')
  })

  it('names the sentinel that cannot be asked, and fails where most cannot', async () => {
    const [first, second] = group.sentinels
    first!.line.refuse(true)
    const one = await check()
    expect(one['sentinels warning']).toMatchObject({
      message: expect.stringContaining(`2 of 3 name ${place} as the master "records"; 127.0.0.1:${first!.line.port}: `),
      remedy: 'see that every sentinel that is listed runs, and can be reached from here',
    })
    expect(one['connection ok']).toBeDefined()
    second!.line.refuse(true)
    const two = await check()
    expect(two['sentinels failed']!.message).toContain('1 of 3 name')
    expect(two['connection failed']!.message).toContain('fewer than 2 of 3 sentinels agree on a master')
    for (const { line } of [first!, second!]) line.refuse(false)
  })

  it('tells that they watch no master of that name', async () => {
    const found = await check({ ...group.options, name: 'other' })
    expect(found['sentinels failed']).toMatchObject({
      server: 'other',
      message: expect.stringMatching(
        /^0 of 3 name nobody as the master "other"; 127\.0\.0\.1:\d+: a sentinel does not know/,
      ),
      remedy: "name the master as 'sentinel monitor' in their configuration does",
    })
  })
})
