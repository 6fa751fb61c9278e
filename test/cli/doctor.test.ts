import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Outcome, run } from '../helpers/cli.js'
import { startRedisCluster } from '../helpers/redis-cluster.js'
import { freePort, type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const PASSHASH = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'

const doctor = (...args: readonly string[]): Promise<Outcome> => run(['doctor', ...args])

const recordWith = (more: object): string =>
  JSON.stringify({ passhash: PASSHASH, publish_acl: [], subscribe_acl: [], ...more })

describe('mqtt-warden doctor', () => {
  let server: RedisServer
  let tool: Redis
  beforeAll(async () => {
    server = await startRedisServer()
    tool = new Redis(server.port)
  })
  beforeEach(async () => {
    await tool.flushall()
    await tool.set('["","c","u"]', recordWith({}))
    await tool.set('unrelated', 'x')
  })
  afterAll(async () => {
    tool.disconnect()
    await server.stop()
  })

  it('prints one line for each check, and ends with 0 where all is well', async () => {
    const { code, stdout, stderr } = await doctor('--redis', server.url)
    expect(stderr).toBe('')
    const lines = stdout.trimEnd().split('\n')
    expect(lines[0]).toBe(`redis 127.0.0.1:${server.port}`)
    const checks = [
      'connection',
      'version',
      'topology',
      'eviction',
      'read',
      'write',
      'shared',
      'receipts',
      'counters',
      'invalidation',
      'clock',
    ]
    expect(lines.slice(1, -2).map(line => /^ok {7}(\w+): \S/.exec(line)?.[1])).toEqual(checks)
    expect(lines.at(-2)).toMatch(/^note {5}nodes: none: .*; start one with the same --redis/)
    expect(lines.at(-1)).toBe('ok       records: 1')
    expect(code).toBe(0)
    expect(await tool.get('["","c","u"]')).toBe(recordWith({}))
  })

  it('ends with 1 where something failed, with what to do about it, and no secret', async () => {
    await tool.call('ACL', 'SETUSER', 'guest', 'on', '>hidden-secret', '~*', '&*', '+@all', '-client|tracking')
    const { code, stdout, stderr } = await doctor('--redis', `redis://guest:hidden-secret@127.0.0.1:${server.port}`)
    expect(stdout).toMatch(/^failed {3}invalidation: changes are not heard: redis answered "NOPERM .*; grant /m)
    expect(stdout + stderr).not.toContain('hidden-secret')
    expect(code).toBe(1)
  })

  it('ends with 0 after warnings', async () => {
    await tool.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lfu')
    const { code, stdout } = await doctor('--redis', server.url, '--invalidation', 'channel')
    expect(stdout).toMatch(/^warning {2}eviction: allkeys-lfu: .*; set maxmemory-policy noeviction$/m)
    expect(stdout).toMatch(/^warning {2}invalidation: a change is heard after /m)
    expect(code).toBe(0)
    await tool.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction')
  })

  it('names records that cannot be used', async () => {
    await tool.set('["m","x\\u001b","u"]', recordWith({ passhash: PASSHASH.replace('$10$', '$15$') }))
    await tool.set('["","y","u"]', recordWith({ publish_acl: [{ pattern: 'a/#/b' }] }))
    const { code, stdout } = await doctor('--redis', server.url, '--lint')
    expect(stdout).toContain('warning  records: 2 of 3 cannot be used\n')
    expect(stdout).toContain(
      '  mountpoint "m", client id "x\\u001b", username "u": passhash: cost 15 is above the default maxCost, 14\n',
    )
    expect(stdout).toMatch(/^ {2}client id "y", username "u": publish_acl\[0\]/m)
    expect(code).toBe(0)
    await tool.set('["","y","u"]', recordWith({}))
    await tool.del('["m","x\\u001b","u"]')
    expect((await doctor('--redis', server.url, '--lint')).stdout).toContain('records: 2, all of which can be used\n')
  })

  it('prints JSON', async () => {
    const { code, stdout } = await doctor('--redis', server.url, '--json', '--lint')
    const { ok, findings, ...rest } = JSON.parse(stdout)
    expect(ok).toBe(true)
    expect(findings).toContainEqual({
      server: `127.0.0.1:${server.port}`,
      check: 'eviction',
      level: 'ok',
      message: 'no memory limit',
    })
    expect(rest).toEqual({ nodes: 0, versions: [], sessions: 0, records: 1, isComplete: true, complaints: [] })
    expect(code).toBe(0)
  })

  it('counts the nodes and their sessions, and tells where versions differ', async () => {
    const announce = (n: number, more: object): Promise<unknown> => {
      const node = { id: `gw.1.${n}`, name: 'gw', pid: 1, startedAt: 0, leaseMs: 60_000, ...more }
      return tool.zadd('mqtt-warden:nodes', Date.now() + 60_000, JSON.stringify(node))
    }
    await announce(1, { version: '0.1.0', sessions: 3 })
    await announce(2, { version: '0.1.0', sessions: 4 })
    const same = await doctor('--redis', server.url)
    expect(same.stdout).toContain('ok       nodes: 2 announced, with 7 live sessions, version 0.1.0\n')
    await announce(3, {})
    const { stdout, code } = await doctor('--redis', server.url)
    expect(stdout).toContain('note     nodes: 3 announced, with 7 live sessions, of versions 0.1.0, unknown; ')
    expect(code).toBe(0)
  })

  it('tells what it found to a user who may not list the records', async () => {
    await tool.call('ACL', 'SETUSER', 'unlisted', 'on', '>x', '~*', '&*', '+@all', '-scan')
    const url = `redis://unlisted:x@127.0.0.1:${server.port}`
    const { stdout, stderr, code } = await doctor('--redis', url, '--lint')
    expect(stderr).toBe('')
    expect(stdout).toContain('note     read: may read records, but not list them; grant +scan\n')
    expect(stdout).toContain('note     records: not known: this user may not list them; grant +scan\n')
    expect(code).toBe(0)
    const json = JSON.parse((await doctor('--redis', url, '--json')).stdout)
    expect(json).toMatchObject({ ok: true, records: null, isComplete: false })
  })

  it('does not mind a user who may not see the nodes', async () => {
    await tool.call('ACL', 'SETUSER', 'reader', 'on', '>x', '~\\["*', '~mqtt-warden:beat:*', '&*', '+@all')
    const { stdout, code } = await doctor('--redis', `redis://reader:x@127.0.0.1:${server.port}`)
    expect(stdout).toContain('note     nodes: not known; grant what receipts need\n')
    expect(code).toBe(0)
  })

  it('looks at every master of a Cluster', async () => {
    const cluster = await startRedisCluster()
    const { code, stdout } = await doctor('--redis', cluster.members[1]!.server.url, '--cluster')
    expect(code).toBe(0)
    expect(stdout.match(/^redis 127/gm)).toHaveLength(3)
    await cluster.stop()
  })

  it('says that nothing answers', async () => {
    const { code, stdout } = await doctor('--redis', `redis://127.0.0.1:${await freePort()}`)
    expect(stdout).toMatch(/^failed {3}connection: .*ECONNREFUSED/m)
    expect(code).toBe(1)
  })

  it.each([
    [[], 'no Redis: give --redis <url> or set REDIS_URL'],
    [['--redis', 'localhost'], 'the URL of Redis (--redis or REDIS_URL) must be redis://host:6379, '],
    [['--redis', 'redis://h', '--invalidation', 'push'], "argument 'push' is invalid"],
  ])('ends with 2 after %j', async (args, message) => {
    const { code, stderr } = await doctor(...args)
    expect(stderr).toContain(message)
    expect(code).toBe(2)
  })
})
