import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:tls'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CERTIFICATE, CERTIFICATE_KEY } from '../helpers/certificate.js'
import { CLI, launch, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { freePort, type RedisServer, startRedisServer } from '../helpers/redis-server.js'

let redis: RedisServer
let replica: RedisServer
let admin: Redis
/** Speaks TLS, with a certificate that nobody vouches for. */
let stranger: Server
beforeAll(async () => {
  redis = await startRedisServer()
  replica = await startRedisServer(['--replicaof', '127.0.0.1', String(redis.port), '--repl-diskless-sync-delay', '0'])
  admin = new Redis(redis.port)
  stranger = createServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }).on('tlsClientError', () => {})
  stranger.listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  await admin.call('ACL', 'SETUSER', 'none', 'on', '>x', '-@all')
  await admin.call('ACL', 'SETUSER', 'poor', 'on', '>x', '~*', '&*', '+@all', '-config', '-client', '-info')
  await eventually(async () => /slave0:.*state=online/.test(await admin.info('replication')), 'the replica is in step')
})
afterAll(async () => {
  admin.disconnect()
  stranger.close()
  await Promise.all([redis.stop(), replica.stop()])
})

const as = (login: string): string => redis.url.replace('//', `//${login}@`)

describe('a Redis that cannot be used', () => {
  it.each<[string, () => Promise<string> | string, string]>([
    ['nothing listens', async () => `redis://127.0.0.1:${await freePort()}`, 'see that Redis runs and can be reached'],
    ['there is no such host', () => 'redis://nowhere.invalid', 'see that Redis runs and can be reached'],
    ['the password is wrong', () => as('none:hidden'), 'see the user name and the password'],
    ['the user may do nothing', () => as('none:x'), '"mqtt-warden doctor" lists the rights that are missing'],
    ['there is no such database', () => `${redis.url}/99`, 'name a database that it has'],
    [
      'it is no sentinel',
      () => redis.url.replace('redis:', 'redis+sentinel:').concat('/m'),
      'no sentinel is there: name a server (redis://)',
    ],
    [
      'it is no Cluster',
      () => redis.url.replace('redis:', 'redis+cluster:'),
      'it is no Cluster: name a server (redis://)',
    ],
    ['it is a replica', () => replica.url, 'it is a replica: name the master, or the sentinels that know it'],
    [
      'it does not speak TLS',
      () => redis.url.replace('redis:', 'rediss:'),
      'see that Redis can be reached, and whether it speaks TLS (rediss://)',
    ],
    [
      'its certificate is of an unknown authority',
      () => `rediss://127.0.0.1:${(stranger.address() as AddressInfo).port}`,
      'see the certificate of Redis: NODE_EXTRA_CA_CERTS names a file',
    ],
  ])('is told with what to do about it: %s', async (_, target, remedy) => {
    const { code, stdout, stderr } = await run(['get', 'c', 'u', '--redis', await target()])
    expect(stderr).toMatch(/^mqtt-warden: .*\n$/)
    expect(stderr).toContain(`; ${remedy}`)
    expect(stderr).toContain('(ERR_STORE_UNAVAILABLE)')
    expect(stderr).not.toContain('hidden')
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })

  it.each([
    ['poor:x', /^failed {3}invalidation: .*NOPERM.*; grant /m],
    ['none:x', /^failed {3}read: .*NOPERM.*; grant \+getrange/m],
    ['none:hidden', /^failed {3}connection: .*WRONGPASS.*; see the user name and the password$/m],
  ])('is told by doctor with what to do about it, for %s', async (login, line) => {
    const { code, stdout } = await run(['doctor', '--redis', as(login)])
    expect(stdout).toMatch(line)
    for (const each of stdout.split('\n')) if (/^(warning|failed|note)/.test(each)) expect(each).toContain('; ')
    expect(stdout).not.toContain('hidden')
    expect(code).toBe(1)
  })

  it('is told by doctor to be a replica', async () => {
    const { code, stdout } = await run(['doctor', '--redis', replica.url])
    expect(stdout).toMatch(/^failed {3}topology: is a replica.*; name the master/m)
    for (const each of stdout.split('\n')) if (/^(warning|failed|note)/.test(each)) expect(each).toContain('; ')
    expect(code).toBe(1)
  })
})

describe('a record that cannot be used', () => {
  it('is named, with what to do about it', async () => {
    await admin.set('["","c","u"]', 'no JSON')
    for (const args of [
      ['get', 'c', 'u'],
      ['put', 'c', 'u', '-p', 'a'],
      ['ban', 'c', 'u'],
      ['check', '-c', 'c', '-u', 'u'],
    ]) {
      const { code, stderr } = await run([...args, '--redis', redis.url])
      expect(stderr).toBe(
        'mqtt-warden: the record ["","c","u"] cannot be used: record: is not JSON; ' +
          'write a whole one with "put --file", or remove it with "delete"\n',
      )
      expect(code).toBe(2)
    }
    expect((await run(['delete', 'c', 'u', '--redis', redis.url])).code).toBe(0)
  })
})

describe('output that nobody takes', () => {
  it('ends a command in silence where its reader has enough, as head has', async () => {
    const pipeline = admin.pipeline()
    for (let n = 0; n < 5_000; n++) pipeline.set(`["","client-${n}","many"]`, 'x')
    await pipeline.exec()
    const { child, ended } = launch(['list', '--redis', redis.url])
    child.stdout!.once('data', () => child.stdout!.destroy())
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
    await admin.flushall()
  })

  it('ends a command with 2 where it cannot be written', () => {
    const full = openSync('/dev/full', 'w')
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'hash', '--cost', '4'], {
      input: 'open',
      stdio: ['pipe', full, 'pipe'],
    })
    expect(stderr.toString()).toContain('mqtt-warden: standard output: ENOSPC')
    expect(status).toBe(2)
  })
})
