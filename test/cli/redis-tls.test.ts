import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CERTIFICATE, CERTIFICATE_KEY } from '../helpers/certificate.js'
import { type Outcome, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { freePort, type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const KEY = '["","c","u"]'
const RECORD = JSON.stringify({ passhash: `$2a$04$${'a'.repeat(53)}`, publish_acl: [], subscribe_acl: [] })

let folder: string
let cert: string
let key: string
const servers: RedisServer[] = []

/** A Redis that asks who comes over TLS for a certificate, and a URL for it. */
async function startTlsRedis(...options: string[]): Promise<{ url: string; admin: Redis }> {
  const port = await freePort()
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert]
  const server = await startRedisServer(['--tls-port', String(port), ...files, ...options])
  servers.push(server)
  return { url: `rediss://127.0.0.1:${port}`, admin: new Redis(server.port) }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warden-tls-'))
  cert = join(folder, 'cert.pem')
  key = join(folder, 'key.pem')
  await Promise.all([writeFile(cert, CERTIFICATE), writeFile(key, CERTIFICATE_KEY)])
})
afterAll(async () => {
  await Promise.all(servers.map(server => server.stop()))
  await rm(folder, { recursive: true })
})

const pair = (): string[] => ['--redis-cert', cert, '--redis-key', key]

describe('a Redis that demands a certificate', () => {
  it('is reached with that and with its authority, and not without either', async () => {
    const { url, admin } = await startTlsRedis()
    await admin.set(KEY, RECORD)
    const list = (...args: string[]): Promise<Outcome> => run(['list', '--redis', url, ...args])
    expect(await list('--redis-ca', cert, ...pair())).toMatchObject({ code: 0, stdout: expect.stringContaining(KEY) })
    expect(await list('--redis-ca', cert)).toMatchObject({ code: 2, stdout: '' })
    const unknown = await list(...pair())
    expect(unknown).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('self-signed certificate') })
    const put = ['put', 'c2', 'u', '-f', '-', '--redis', url, '--redis-ca', cert, ...pair()]
    expect(await run(put, { input: RECORD })).toMatchObject({ code: 0, stderr: '' })
    expect(await admin.exists('["","c2","u"]')).toBe(1)
    const looked = await run(['doctor', '--redis', url, '--redis-ca', cert, ...pair()])
    expect(looked).toMatchObject({ code: 0, stdout: expect.stringContaining('a change is heard') })
    admin.disconnect()
  })

  it('may be a Cluster', async () => {
    const { url, admin } = await startTlsRedis('--cluster-enabled', 'yes', '--tls-cluster', 'yes')
    await admin.cluster('ADDSLOTSRANGE', 0, 16_383)
    await eventually(async () => (await admin.cluster('INFO')).includes('cluster_state:ok'), 'the cluster works')
    await admin.set(KEY, RECORD)
    const listed = await run(['list', '--cluster', '--redis', url, '--redis-ca', cert, ...pair()])
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining(KEY) })
    admin.disconnect()
  })
})

it.each<[string, () => string[], RegExp]>([
  ['a key without a certificate', () => ['--redis-key', key], /--redis-cert and --redis-key go together/],
  ['a file that is not there', () => ['--redis-ca', '/nowhere.pem'], /\/nowhere\.pem: ENOENT/],
  ['a key in place of the authority', () => ['--redis-ca', key], /--redis-ca \S+: holds no certificate in PEM/],
  ['a certificate as its own key', () => ['--redis-cert', cert, '--redis-key', cert], /holds no private key in PEM/],
])('%s is told before anything is connected', async (_, args, message) => {
  const outcome = await run(['list', '--redis', 'rediss://127.0.0.1:1', ...args()])
  expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(message) })
})

it('files for TLS are refused where the URL says that there is none', async () => {
  const outcome = await run(['list', '--redis', 'redis://127.0.0.1:1', ...pair()])
  expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('must begin with rediss') })
})
