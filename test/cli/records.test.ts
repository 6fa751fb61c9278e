import { Redis } from 'ioredis'
import { createAuthorizer, verifyPassword } from 'mqtt-warden'
import { createRedisStore, type RedisStore } from 'mqtt-warden/redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { VERSION } from '../../src/version.js'
import { type Outcome, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const PASSHASH = '$2a$04$abcdefghijklmnopqrstuuJ6zrjCk0vJKgVDsJrGzBbXxCMCDPRF2'
const key = (clientId: string, username = 'plant') => ({ mountpoint: '', clientId, username })
const record = (pattern: string) => ({ passhash: PASSHASH, publishAcl: [{ pattern }], subscribeAcl: [] })

let redis: RedisServer
let store: RedisStore
const cleanups: (() => Promise<void>)[] = []

/** Runs a command on the Redis of the test, named by the environment as in a shell. */
function cli(args: readonly string[], input = ''): Promise<Outcome> {
  return run(args, { input, env: { REDIS_URL: redis.url } })
}

/** A process that decides: this one. */
async function startNode(nodeName: string, more: object = {}): Promise<RedisStore> {
  const nodeStore = createRedisStore(redis.url, { nodeName, ...more })
  const authorizer = createAuthorizer({ store: nodeStore, outageGraceMs: 0 })
  authorizer.on('error', () => {})
  cleanups.push(async () => {
    await authorizer.close()
    await nodeStore.close()
  })
  await authorizer.ready()
  await eventually(async () => (await store.nodes()).some(({ name }) => name === nodeName), 'the node is announced')
  return nodeStore
}

beforeAll(async () => {
  redis = await startRedisServer()
  store = createRedisStore(redis.url)
})
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean()
  for await (const each of store.scan()) await store.delete(each)
})
afterAll(async () => {
  await store.close()
  await redis.stop()
})

describe('mqtt-warden put', () => {
  it('writes a new record by flags, with a password from standard input', async () => {
    const flags = ['-p', 'a/%c', '-p', 'b', '-s', 'c/#', '--expires-at', '2040-01-01T00:00:00Z', '--password-stdin']
    const { code, stdout, stderr } = await cli(['put', 'p7', 'plant', ...flags], 'secret\n')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const stored = await store.getStored(key('p7'))
    expect(stdout).toBe(`written ["","p7","plant"]\ndigest ${stored!.digest}\n`)
    expect(stored!.record).toMatchObject({
      publishAcl: [{ pattern: 'a/%c' }, { pattern: 'b' }],
      subscribeAcl: [{ pattern: 'c/#' }],
      expiresAt: 2_208_988_800,
    })
    expect(await verifyPassword('secret', stored!.record.passhash)).toBe(true)
  })

  it('changes what the flags name and leaves the rest as it is', async () => {
    await store.put(key('p7'), { ...record('a'), expiresAt: 4_000_000_000, extra: { note: 'kept' } })
    expect((await cli(['put', 'p7', 'plant', '-s', 'x', '--expires-at', 'never'])).code).toBe(0)
    const changed = { ...record('a'), subscribeAcl: [{ pattern: 'x' }], extra: { note: 'kept' } }
    expect(await store.get(key('p7'))).toEqual(changed)
  })

  it('takes what get has printed', async () => {
    await store.put(key('p7'), record('a'))
    const { stdout, stderr } = await cli(['get', 'p7', 'plant'])
    expect(stderr).toContain('record ["","p7","plant"], for this client id alone')
    const digest = /digest ([0-9a-f]{64})/.exec(stderr)![1]!
    const edited = stdout.replace('"a"', '"b"')
    expect((await cli(['put', 'p7', 'plant', '-f', '-', '--if-match', digest], edited)).code).toBe(0)
    expect(await store.get(key('p7'))).toEqual(record('b'))
    const again = await cli(['put', 'p7', 'plant', '-f', '-', '--if-match', digest], stdout)
    expect(again.stderr).toContain('nothing written: the record stored now is another one')
    expect(again.code).toBe(1)
  })

  it.each([
    [['p7', 'plant', '-p', 'a'], 'a new record needs a password: use --password-stdin'],
    [['p7', 'plant', '-p', 'a', '--password-stdin'], 'the password is empty'],
    [['p7', 'plant', '-f', '-', '-p', 'a'], '--file holds the whole record'],
    [['p7', 'plant', '-f', '/nowhere.json'], '/nowhere.json: '],
    [['p7', 'plant', '--expires-at', 'soon'], 'must be a date, Unix seconds, or "never"'],
    [['p7', 'plant', '--if-match', 'abc'], 'must be 64 hex digits in lower case, or "none"'],
    [['p7', 'plant', '--receipt', '0'], 'must be an integer from 1 to 600000'],
    [['p7', 'plant', '-f', '-', '--redis', 'http://x'], 'must be redis://host:6379, redis+sentinel://'],
    [['p7'], "missing required argument 'username'"],
  ])('ends %j with 2, says why, and writes nothing', async (args, message) => {
    const { code, stdout, stderr } = await cli(['put', ...(args as string[])])
    expect(stderr).toContain(message)
    expect(stdout).toBe('')
    expect(code).toBe(2)
    expect(await store.get(key('p7'))).toBeUndefined()
  })

  it('says that nobody can log in by what it has written', async () => {
    const record = JSON.stringify({ passhash: 'secret' })
    const { code, stderr } = await cli(['put', 'p7', 'plant', '-f', '-'], record)
    expect(stderr).toContain(
      'mqtt-warden: warning: nobody can log in by this record: passhash: must be a bcrypt hash of 60 characters\n',
    )
    expect(code).toBe(0)
  })

  it('names the place of a mistake in a record', async () => {
    const { code, stderr } = await cli(['put', 'p7', 'plant', '-p', 'a/#/b', '--password-stdin'], 'secret')
    expect(stderr).toContain("publishAcl[0].pattern: '#' must be the last level")
    expect(stderr).not.toContain('secret')
    expect(code).toBe(2)
  })
})

describe('mqtt-warden with a receipt', () => {
  it('prints what every node has in force', async () => {
    await startNode('gw-1')
    await store.put(key('p7'), record('a'))
    const { code, stdout, stderr } = await cli(['put', 'p7', 'plant', '-p', 'b', '--receipt'])
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^gw-1\.\d+\.[0-9a-f]{12} +0 +0 +0 +\d+ +in force$/m)
    expect(code).toBe(0)
    const deleted = await cli(['delete', 'p7', 'plant', '--json', '--receipt', '4000'])
    expect(JSON.parse(deleted.stdout)).toMatchObject({ digest: null, receipt: { confirmed: true, silent: [] } })
    expect(deleted.code).toBe(0)
  })

  it('ends with 3 where a node stays silent, and names it', async () => {
    // It hears of nothing, so it cannot answer.
    await startNode('gw-1')
    const deaf = createRedisStore(redis.url, { nodeName: 'deaf', invalidation: 'none' })
    const stop = deaf.watch(() => {}, { decidesForMs: 60_000 })
    cleanups.push(async () => {
      stop()
      await deaf.close()
    })
    await eventually(async () => (await store.nodes()).length === 2, 'both are announced')
    await store.put(key('p7'), record('a'))
    const { code, stdout, stderr } = await cli(['put', 'p7', 'plant', '-p', 'b', '--receipt', '300'])
    expect(stdout).toMatch(/^deaf\.\d+\.[0-9a-f]{12} +- +- +- +- +silent, last heard \d s ago$/m)
    expect(stderr).toMatch(/written, but 1 of 2 nodes stayed silent: .* in (6\d|70) s none of them decides/)
    expect(code).toBe(3)
  })

  it('reaches nodes that hear of changes through the channel', async () => {
    await startNode('gw-1', { invalidation: 'channel' })
    await store.put(key('p7'), record('a'))
    const { code } = await cli(['put', 'p7', 'plant', '-p', 'b', '--invalidation', 'channel', '--receipt'])
    expect(code).toBe(0)
  })

  it('ends with 3 where there is no node at all, and with 4 where a replica is missing', async () => {
    await store.put(key('p7'), record('a'))
    const lonely = await cli(['put', 'p7', 'plant', '-p', 'b', '--receipt'])
    expect(lonely.stderr).toContain('written, but no node is there to confirm it')
    expect(lonely.code).toBe(3)
    const { code, stdout, stderr } = await cli(['put', 'p7', 'plant', '-p', 'c', '--min-replicas', '1'])
    expect(stdout).toContain('replicas 0')
    expect(stderr).toContain('not_durable: written, but 0 of 1 demanded replicas have it')
    expect(code).toBe(4)
    expect(await store.get(key('p7'))).toEqual(record('c'))
  })
})

describe('mqtt-warden get, list and nodes', () => {
  it('fall back to the record of all client ids and say so', async () => {
    await store.put(key('*'), record('a'))
    const { code, stdout, stderr } = await cli(['get', 'p7', 'plant'])
    expect(JSON.parse(stdout)).toMatchObject({ passhash: PASSHASH, publish_acl: [{ pattern: 'a' }] })
    expect(stderr).toContain('record ["","*","plant"], for every client id without a record of its own')
    expect(stderr).not.toContain(PASSHASH)
    expect(code).toBe(0)
    const { digest } = (await store.getStored(key('*')))!
    const json = JSON.parse((await cli(['get', 'p7', 'plant', '--json'])).stdout)
    expect(json).toMatchObject({ key: '["","*","plant"]', digest })
    const none = await cli(['get', 'p7', 'nobody'])
    expect(none.stderr).toContain(`no record ["","p7","nobody"], nor one of '*'`)
    expect(none.code).toBe(1)
  })

  it('list the keys that fit', async () => {
    for (const id of ['a', 'b', '*']) await store.put(key(id), record('x'))
    await store.put(key('a', 'other'), record('x'))
    const all = await cli(['list'])
    expect(all.stdout.trim().split('\n').sort()).toEqual([
      '["","*","plant"]',
      '["","a","other"]',
      '["","a","plant"]',
      '["","b","plant"]',
    ])
    expect((await cli(['list', '-u', 'other'])).stdout).toBe('["","a","other"]\n')
    const one = await cli(['list', '-c', 'a', '-u', 'plant', '-m', '', '--json'])
    expect(JSON.parse(one.stdout)).toEqual({ mountpoint: '', clientId: 'a', username: 'plant' })
    const none = { code: 1, stdout: '', stderr: 'mqtt-warden: there is no record that fits\n' }
    expect(await cli(['list', '-c', 'nobody'])).toEqual(none)
  })

  it('give no orders to a terminal, whatever is in a record', async () => {
    const hostile = 'a\x1b[2J\x07\x7f\x9b2J\u202Eb\u2066c'
    await store.put(key(hostile), { ...record('x'), extra: { note: hostile } })
    const outcomes = [
      await cli(['list']),
      await cli(['list', '--json']),
      await cli(['get', hostile, 'plant']),
      await cli(['get', hostile, 'plant', '--json']),
      await cli(['ban', hostile, 'plant', '--json']),
      await cli(['ban', hostile, 'plant', '--lift']),
      await cli(['put', hostile, 'plant', '-p', hostile]),
      await cli(['put', hostile, 'plant', '--file', `${hostile}.json`]),
      await cli(['delete', hostile, 'plant']),
    ]
    for (const { stdout, stderr } of outcomes) expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
    expect(JSON.parse(outcomes[0]!.stdout)).toEqual(['', hostile, 'plant'])
    expect(JSON.parse(outcomes[3]!.stdout).record.note).toBe(hostile)
  })

  it('tell which nodes are there', async () => {
    expect(await cli(['nodes'])).toMatchObject({ code: 1, stdout: '' })
    await startNode('gw-1')
    const { code, stdout } = await cli(['nodes'])
    const [head, row, ...others] = stdout.trimEnd().split('\n')
    expect(head!.split(/ {2,}/)).toEqual(['node', 'version', 'sessions', 'since', 'seen', 'forgotten after'])
    expect(row).toMatch(/^gw-1\.\d+\.[0-9a-f]{12} {2}\d+\.\d+\.\d+ +0 +2\d{3}-\S+Z {2}\d+ s ago {2}\d+ s of silence$/)
    expect(others).toEqual([])
    expect(code).toBe(0)
    expect(JSON.parse((await cli(['nodes', '--json'])).stdout)).toMatchObject([
      { name: 'gw-1', pid: process.pid, version: VERSION, sessions: 0 },
    ])
  })

  it('show what an older node does not tell as "-"', async () => {
    const admin = new Redis(redis.port)
    const node = { id: 'gw.1.000000000001', name: 'gw', pid: 1, startedAt: 0, leaseMs: 60_000 }
    await admin.zadd('mqtt-warden:nodes', Date.now() + 60_000, JSON.stringify(node))
    expect((await cli(['nodes'])).stdout).toMatch(
      /^gw\.1\.0+1 {2}- +- +1970-01-01T00:00:00Z {2}\d s ago +60 s of silence$/m,
    )
    await admin.del('mqtt-warden:nodes')
    admin.disconnect()
  })
})

describe('mqtt-warden delete and ban', () => {
  it('say when the record of all client ids decides now', async () => {
    await store.put(key('*'), record('a'))
    await store.put(key('p7'), record('b'))
    const { code, stdout, stderr } = await cli(['delete', 'p7', 'plant'])
    expect(stdout).toBe('deleted ["","p7","plant"]\n')
    expect(stderr).toContain('warning: the record ["","*","plant"] decides for this client id now')
    expect(code).toBe(0)
    const again = await cli(['delete', 'p7', 'plant'])
    expect(again.stderr).toContain('there is no record ["","p7","plant"]')
    expect(again.code).toBe(1)
  })

  it('keep a device out that the record of all client ids would let in, until that is lifted', async () => {
    await store.put(key('*'), record('a'))
    expect((await cli(['ban', 'p7', 'plant'])).stdout).toContain('banned ["","p7","plant"]')
    const banned = await store.get(key('p7'))
    expect(banned).toMatchObject({ publishAcl: [], subscribeAcl: [] })
    expect(banned!.passhash).not.toBe(PASSHASH)
    expect(await cli(['ban', 'p7', 'plant'])).toMatchObject({ code: 1 })
    const lifted = await cli(['ban', 'p7', 'plant', '--lift'])
    expect(lifted.stderr).toContain('warning: the record ["","*","plant"] decides for this client id now')
    expect(await store.get(key('p7'))).toBeUndefined()
    expect(await cli(['ban', 'p7', 'plant', '--lift'])).toMatchObject({ code: 1 })
  })

  it('put back what a banned record was before', async () => {
    await store.put(key('p7'), record('a'))
    expect((await cli(['ban', 'p7', 'plant'])).code).toBe(0)
    expect((await cli(['ban', 'p7', 'plant', '--lift'])).stdout).toContain('restored ["","p7","plant"]')
    expect(await store.get(key('p7'))).toEqual(record('a'))
  })

  it('ban anew a device whose record was given another password since', async () => {
    await store.put(key('p7'), record('a'))
    expect((await cli(['ban', 'p7', 'plant'])).code).toBe(0)
    // As a tool does that keeps what it does not know.
    await store.put(key('p7'), { ...(await store.get(key('p7')))!, ...record('b') })
    expect(await cli(['ban', 'p7', 'plant', '--lift'])).toMatchObject({ code: 1 })
    expect((await cli(['ban', 'p7', 'plant'])).code).toBe(0)
    expect(await store.get(key('p7'))).toMatchObject({ publishAcl: [] })
    expect((await cli(['ban', 'p7', 'plant', '--lift'])).code).toBe(0)
    expect(await store.get(key('p7'))).toEqual(record('b'))
  })

  it('are not undone by put with flags, whose rules would be lost when the ban is lifted', async () => {
    await store.put(key('p7'), record('a'))
    await cli(['ban', 'p7', 'plant'])
    const before = await store.getStored(key('p7'))
    const { code, stderr } = await cli(['put', 'p7', 'plant', '-p', 'b', '--password-stdin'], 'secret')
    expect(stderr).toContain('["","p7","plant"] is banned: lift that first with "ban --lift"')
    expect(code).toBe(1)
    expect(await store.getStored(key('p7'))).toEqual(before)
  })

  it('are told by get and check, which else would show a record without rules that can be used', async () => {
    await store.put(key('p7'), record('a'))
    await cli(['ban', 'p7', 'plant'])
    const since = / is banned since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: "ban --lift" lets it in again\n$/
    expect((await cli(['get', 'p7', 'plant'])).stderr).toMatch(since)
    const asked = ['check', '--redis', '-c', 'p7', '-u', 'plant']
    const checked = await cli(asked)
    expect(checked.stdout).toBe('record ["","p7","plant"]\n')
    expect(checked.stderr).toMatch(/^mqtt-warden: nobody can log in by this record: it is banned since /)
    expect(checked.code).toBe(1)
    expect(JSON.parse((await cli([...asked, '--json'])).stdout)).toMatchObject({
      key: '["","p7","plant"]',
      results: [],
    })
    await cli(['ban', 'p7', 'plant', '--lift'])
    expect((await cli(['get', 'p7', 'plant'])).stderr).not.toContain('banned')
    expect(await cli(asked)).toMatchObject({ code: 0, stderr: '' })
  })

  it('are seen even where what the record was before is broken, and lifting them says so', async () => {
    await cli(['ban', 'p7', 'plant'])
    const banned = (await store.get(key('p7')))!
    const ban = { ...(banned.extra!.banned as object), record: '{"passhash":1}' }
    await store.put(key('p7'), { ...banned, extra: { banned: ban } })
    expect((await cli(['check', '--redis', '-c', 'p7', '-u', 'plant'])).stderr).toContain('it is banned since')
    const lifted = await cli(['ban', 'p7', 'plant', '--lift'])
    expect(lifted.stderr).toContain('what ["","p7","plant"] was before the ban cannot be used: ')
    expect(lifted.stderr).toContain('; remove it with "delete"')
    expect(lifted.code).toBe(2)
  })

  it('refuse to ban all at once', async () => {
    const { code, stderr } = await cli(['ban', '*', 'plant'])
    expect(stderr).toContain("'*' is no device")
    expect(code).toBe(2)
  })
})
