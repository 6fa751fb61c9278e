import { Redis } from 'ioredis'
import { createRedisStore } from 'mqtt-warden/redis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { launch, type Outcome, type Running, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisCluster, startRedisCluster } from '../helpers/redis-cluster.js'
import { type RedisSentinels, startRedisSentinels } from '../helpers/redis-sentinel.js'
import { freePort, startRedisServer } from '../helpers/redis-server.js'

const PASSWORD = 'secret/with@signs:,#?%'
const SENTINEL_PASSWORD = 'another & one'
const served: Running[] = []

afterEach(async () => {
  for (const { child, ended } of served.splice(0)) {
    child.kill('SIGKILL')
    await ended
  }
})

async function startServe(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const running = launch(['serve', '--port', '0', ...args], env)
  served.push(running)
  let url: string | undefined
  await eventually(() => {
    if (running.child.exitCode !== null) throw new Error(running.output().stderr)
    url = /"event":"start","url":"([^"]+)"/.exec(running.output().stdout)?.[1]
    return url !== undefined
  }, 'the server listens')
  await eventually(async () => (await fetch(`${url}/health/ready`)).ok, 'the server is ready')
  return url!
}

/** Every command that takes --redis, once, on records of its own. */
async function tryAll(url: string, env: Readonly<Record<string, string>>): Promise<void> {
  const cli = (args: readonly string[], input = ''): Promise<Outcome> => run(args, { input, env })
  const redis = ['--redis', url]
  const put = (clientId: string) => cli(['put', clientId, 'plant', '-p', 'a/%c', '--password-stdin', ...redis], 'open')
  const served = startServe(redis, env)
  for (const outcome of await Promise.all(['p1', 'p2', 'p3'].map(put))) expect(outcome).toMatchObject({ code: 0 })
  const asked = ['check', '-c', 'p1', '-u', 'plant', '-p', 'a/p1', '--redis']
  const [listed, got, checked, named] = await Promise.all([
    cli(['list', ...redis]),
    cli(['get', 'p1', 'plant', ...redis]),
    cli([...asked, url]),
    run(asked, { env: { ...env, REDIS_URL: url } }),
  ])
  expect(listed.stdout.trim().split('\n').sort()).toEqual([1, 2, 3].map(n => `["","p${n}","plant"]`))
  expect(JSON.parse(got.stdout).publish_acl).toEqual([{ pattern: 'a/%c' }])
  for (const { stdout } of [checked, named]) expect(stdout).toContain('allowed  publish "a/p1"')

  const endpoint = `${await served}/mosquitto/aclcheck`
  const ask = async (clientid: string): Promise<number> => {
    const body = JSON.stringify({ clientid, username: 'plant', topic: `a/${clientid}`, acc: 2 })
    return (await fetch(endpoint, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status
  }
  expect(await ask('p2')).toBe(200)
  const banned = await cli(['ban', 'p2', 'plant', ...redis, '--receipt'])
  expect(banned.stdout).toMatch(/ {2}in force\n$/)
  expect(banned.code).toBe(0)
  expect(await ask('p2')).toBe(403)
  const [lifted, removed, nodes, doctor] = await Promise.all([
    cli(['ban', 'p2', 'plant', '--lift', ...redis]),
    cli(['delete', 'p3', 'plant', ...redis]),
    cli(['nodes', '--json', ...redis]),
    cli(['doctor', '--json', ...redis]),
  ])
  expect(lifted.stdout).toContain('restored')
  expect(removed.stdout).toBe('deleted ["","p3","plant"]\n')
  expect(JSON.parse(nodes.stdout)).toHaveLength(1)
  expect(JSON.parse(doctor.stdout)).toMatchObject({ ok: true })
}

describe('the command line on Sentinel', () => {
  let sentinels: RedisSentinels
  let url: string
  let hosts: string
  const env = { REDIS_USERNAME: 'warden', REDIS_PASSWORD: PASSWORD, SENTINEL_USERNAME: 'guard', SENTINEL_PASSWORD }
  beforeAll(async () => {
    sentinels = await startRedisSentinels()
    hosts = sentinels.sentinels.map(({ line }) => `127.0.0.1:${line.port}`).join(',')
    url = `redis+sentinel://${hosts}/records/3`
    for (const { port } of [sentinels.master, ...sentinels.replicas]) await addUser(port, 'warden', PASSWORD)
    for (const { admin } of sentinels.sentinels) {
      await admin.call('ACL', 'SETUSER', 'guard', 'on', `>${SENTINEL_PASSWORD}`, '&*', '+@all')
    }
  }, 60_000)
  afterAll(() => sentinels.stop())

  it('takes one URL for every command, with passwords from the environment', async () => {
    await tryAll(url, env)
    await using store = createRedisStore({ ...sentinels.options, db: 3 })
    expect(await store.get({ mountpoint: '', clientId: 'p1', username: 'plant' })).toBeDefined()
  }, 60_000)

  it.each([
    ['a wrong password', { REDIS_PASSWORD: 'hidden' }, 'WRONGPASS'],
    ['a wrong password of the sentinels', { SENTINEL_PASSWORD: 'hidden' }, 'WRONGPASS'],
  ])('says that it was refused with %s', async (_, wrong, message) => {
    const { code, stderr } = await run(['list', '--redis', url], { env: { ...env, ...wrong } })
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('hidden')
    expect(code).toBe(2)
  })

  it('says that the sentinels do not know the master', async () => {
    const { code, stderr } = await run(['list', '--redis', `redis+sentinel://${hosts}/other`], { env })
    expect(stderr).toContain('fewer than 2 of 3 sentinels agree on a master')
    expect(code).toBe(2)
  })

  it('goes on after a failover', async () => {
    await sentinels.master.kill()
    await sentinels.replaced(sentinels.master)
    const { code, stdout } = await run(['list', '--redis', url], { env })
    expect(stdout).toContain('["","p1","plant"]')
    expect(code).toBe(0)
  }, 60_000)
})

describe('the command line on a Cluster', () => {
  let cluster: RedisCluster
  let hosts: string
  const env = { REDIS_USERNAME: 'warden', REDIS_PASSWORD: PASSWORD }
  beforeAll(async () => {
    cluster = await startRedisCluster()
    for (const { server } of cluster.members) await addUser(server.port, 'warden', PASSWORD)
    hosts = cluster.members.map(({ server }) => `127.0.0.1:${server.port}`).join(',')
  }, 60_000)
  afterAll(() => cluster.stop())

  it('takes one URL for every command, with a password from the environment', async () => {
    await tryAll(`redis+cluster://${hosts}`, env)
  }, 60_000)

  it('begins with any node that answers', async () => {
    const dead = await freePort()
    const url = `redis+cluster://127.0.0.1:${dead},127.0.0.1:${cluster.members[2]!.server.port}`
    expect((await run(['list', '--redis', url], { env })).stdout).toContain('["","p1","plant"]')
  })

  it('may be named by the plain URL of a node, and --cluster', async () => {
    const { url } = cluster.members[1]!.server
    expect((await run(['get', 'p1', 'plant', '--redis', url, '--cluster'], { env })).code).toBe(0)
    expect((await run(['doctor', '--redis', url], { env })).stdout).toContain('name the Cluster: redis+cluster://')
  })

  it('shares the work on VerneMQ among servers', async () => {
    const args = ['--redis', `redis+cluster://${hosts}`, '--vernemq-node', 'http://127.0.0.1:1']
    await startServe(args, { ...env, VERNEMQ_API_KEY: 'key' })
    const servers = () => cluster.members.map(({ admin }) => admin.keys('mqtt-warden:vernemq:servers').catch(() => []))
    await eventually(async () => (await Promise.all(servers())).flat().length > 0, 'the server has joined the others')
  })
})

describe('the URL of Redis', () => {
  it.each([
    [
      ['--redis', 'localhost:6379'],
      'the URL of Redis (--redis or REDIS_URL) must be redis://host:6379, redis+sentinel',
    ],
    [['--redis', 'redis://a:1,b:2'], 'names several servers: begin it with redis+sentinel:// or redis+cluster://'],
    [['--redis', 'redis+sentinel://a/'], 'must name the master after its sentinels'],
    [['--redis', 'redis://a', '--redis', 'redis://b'], '--redis: several addresses go into one URL'],
    [['--redis', 'redis+sentinel://a/m', '--cluster'], '--cluster: the URL names sentinels'],
    [['--redis', ''], 'no Redis: give --redis <url> or set REDIS_URL'],
  ])('is refused as %j', async (args, message) => {
    const { code, stdout, stderr } = await run(['list', ...args])
    expect(stderr).toContain(message)
    expect(stderr).toMatch(/^mqtt-warden: .*\n$/)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })

  it('has a login of its own before that of the environment', async () => {
    const redis = await startRedisServer()
    await addUser(redis.port, 'warden', PASSWORD)
    const login = `warden:${encodeURIComponent(PASSWORD)}@`
    const env = { REDIS_USERNAME: 'nobody', REDIS_PASSWORD: 'wrong' }
    const own = await run(['list', '--redis', redis.url.replace('//', `//${login}`)], { env })
    expect(own).toEqual({ code: 1, stdout: '', stderr: 'mqtt-warden: there is no record\n' })
    const named = await run(['list', '--redis', redis.url.replace('//', '//warden@')], {
      env: { ...env, REDIS_PASSWORD: PASSWORD },
    })
    expect(named).toEqual(own)
    expect((await run(['list', '--redis', redis.url], { env })).stderr).toContain('WRONGPASS')
    await redis.stop()
  })
})

async function addUser(port: number, name: string, password: string): Promise<void> {
  const admin = new Redis(port)
  await admin.call('ACL', 'SETUSER', name, 'on', `>${password}`, '~*', '&*', '+@all')
  admin.disconnect()
}
