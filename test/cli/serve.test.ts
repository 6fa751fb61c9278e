import type { ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRedisStore } from 'mqtt-warden/redis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CERTIFICATE, CERTIFICATE_KEY } from '../helpers/certificate.js'
import { launch, type Outcome, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const SECRET = 'a-secret-of-the-path'
const PASSWORD = '38b3eff8baf56627478ec76a704e9b52'
const PUMP = { mountpoint: '', clientId: 'pump-1', username: 'plant' }
const RECORD = {
  passhash: '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6',
  publishAcl: [{ pattern: 'state/%c/#' }],
  subscribeAcl: [{ pattern: 'news/#' }],
}

type Line = Readonly<Record<string, unknown>>

interface Served {
  readonly url: string
  readonly child: ChildProcess
  /** What it has logged so far. */
  readonly lines: readonly Line[]
  /** Ends it as an operator would, and resolves with its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** What is on its standard error so far. */
  errors(): string
}

const running: Served[] = []

/** Runs a command line that ends by itself. */
const ending = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
  run(['serve', ...args], { env })

async function serve(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const { child, ended, output } = launch(['serve', '--port', '0', ...args], env)
  const lines = (): Line[] => {
    const [...complete] = output().stdout.split('\n').slice(0, -1)
    return complete.map(line => JSON.parse(line) as Line)
  }
  let url: string | undefined
  await eventually(() => {
    if (child.exitCode !== null) throw new Error(output().stderr)
    url = lines().find(({ event }) => event === 'start')?.url as string | undefined
    return url !== undefined
  }, 'the server listens')
  const served: Served = {
    url: url!,
    child,
    get lines() {
      return lines()
    },
    errors: () => output().stderr,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null) child.kill(signal)
      return (await ended).code
    },
  }
  running.push(served)
  return served
}

interface Answer {
  readonly status: number
  readonly body: string
}

async function post(url: string, fields: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields),
  })
  return { status: response.status, body: await response.text() }
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url)
  return { status: response.status, body: await response.text() }
}

const isReady = async ({ url }: Served): Promise<boolean> => (await get(`${url}/health/ready`)).status === 200

describe('mqtt-warden serve', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await startRedisServer()
  })
  afterAll(() => redis.stop())

  beforeEach(async () => {
    await using store = createRedisStore(redis.url)
    await store.put(PUMP, RECORD)
  })

  afterEach(async () => {
    for (const served of running.splice(0)) await served.stop('SIGKILL')
  })

  it('explains itself, with every path that it serves', async () => {
    const { code, stdout } = await ending(['--help'])
    expect(code).toBe(0)
    const brokers = ['/vernemq', '/emqx/authorization', '/rabbitmq/topic', '/mosquitto/aclcheck', '/nanomq/acl']
    for (const path of [...brokers, '/health/ready', '/metrics']) expect(stdout).toContain(path)
  })

  it('answers every broker from the same record', async () => {
    const served = await serve(['--redis', redis.url])
    const me = { clientid: 'pump-1', username: 'plant' }
    const topic = 'state/pump-1/x'
    const ask = (path: string, fields: object) => post(`${served.url}${path}`, fields)

    const login = { ...me, password: PASSWORD }
    expect((await ask('/emqx/authentication', login)).body).toBe('{"result":"allow","is_superuser":false}')
    const emqx = { ...me, topic, action: 'publish', qos: 1, retain: false }
    expect((await ask('/emqx/authorization', emqx)).body).toBe('{"result":"allow"}')

    const rabbit = { username: 'plant', vhost: '/', client_id: 'pump-1' }
    expect((await ask('/rabbitmq/user', { ...rabbit, password: PASSWORD })).body).toBe('allow')
    const write = { ...rabbit, name: 'amq.topic', permission: 'write', routing_key: 'state.pump-1.x' }
    expect((await ask('/rabbitmq/topic', write)).body).toBe('allow')

    expect((await ask('/mosquitto/getuser', login)).status).toBe(200)
    expect((await ask('/mosquitto/aclcheck', { ...me, topic, acc: 2 })).status).toBe(200)
    expect((await ask('/nanomq/auth', login)).status).toBe(200)
    expect((await ask('/nanomq/acl', { ...me, access: '2', topic })).status).toBe(200)

    const hook = { mountpoint: '', client_id: 'pump-1', username: 'plant', topic, qos: 1, retain: false, payload: '' }
    const verne = await post(`${served.url}/vernemq`, hook, { 'vernemq-hook': 'auth_on_publish' })
    expect(verne).toMatchObject({ status: 200, body: '{"result":"ok"}' })
  })

  it('obeys a change of the record at once', async () => {
    const served = await serve(['--redis', redis.url])
    await eventually(() => isReady(served), 'the server is ready')
    const fields = { clientid: 'pump-1', username: 'plant', topic: 'state/pump-1/x', acc: 2 }
    expect((await post(`${served.url}/mosquitto/aclcheck`, fields)).status).toBe(200)
    await using store = createRedisStore(redis.url)
    await store.put(PUMP, { ...RECORD, publishAcl: [] })
    const isRefused = async () => (await post(`${served.url}/mosquitto/aclcheck`, fields)).status === 403
    await eventually(isRefused, 'the right is gone', 2_000)
  })

  it('logs a refusal with who, what, why and the nearest rule, on one line', async () => {
    const served = await serve(['--redis', redis.url])
    const clientid = 'pump-1'
    const topic = 'state/pump-2/x'
    const forged = 'x\n{"event":"forged"}'
    await post(`${served.url}/nanomq/acl`, { clientid, username: 'plant', access: '2', topic, ipaddr: '10.0.0.9' })
    await post(`${served.url}/nanomq/acl`, { clientid: forged, username: 'y'.repeat(5_000), access: '2', topic: 'a' })
    await eventually(() => served.lines.filter(({ event }) => event === 'denied').length === 2, 'both are logged')
    const [first, second] = served.lines.filter(({ event }) => event === 'denied')
    expect(first).toMatchObject({
      level: 'warn',
      action: 'publish',
      clientId: 'pump-1',
      username: 'plant',
      topic,
      address: '10.0.0.9',
      reason: 'no_matching_rule',
      nearest: 'state/%c/#',
      detail: 'nanomq_acl',
    })
    expect(first!.text).toContain('client "pump-1" (user "plant") from "10.0.0.9" may not publish to "state/pump-2/x"')
    expect(second).toMatchObject({ clientId: forged, reason: 'bad_credentials' })
    expect(String(second!.username)).toHaveLength(256)
    expect(served.lines.some(({ event }) => event === 'forged')).toBe(false)
  })

  it('does not let one client fill the log', async () => {
    const served = await serve(['--redis', redis.url])
    const fields = { clientid: 'pump-1', username: 'plant', access: '2', topic: 'no' }
    for (let index = 0; index < 60; index++) await post(`${served.url}/nanomq/acl`, fields)
    await post(`${served.url}/nanomq/acl`, { ...fields, username: 'other' })
    await eventually(() => served.lines.some(({ username }) => username === 'other'), 'the other client is logged')
    expect(served.lines.filter(({ username }) => username === 'plant').length).toBeLessThan(40)
  })

  it('counts for Prometheus', async () => {
    const served = await serve(['--redis', redis.url])
    await eventually(() => isReady(served), 'the server is ready')
    const me = { clientid: 'pump-1', username: 'plant' }
    await post(`${served.url}/emqx/authentication`, { ...me, password: PASSWORD })
    await post(`${served.url}/emqx/authentication`, { ...me, password: 'no' })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: 'news/x', acc: 1 })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: 'state/pump-1/x', acc: 2 })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: 'news/#', acc: 4 })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: '#', acc: 4 })
    const { status, body } = await get(`${served.url}/metrics`)
    expect(status).toBe(200)
    const value = (name: string) => Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(body)?.[1])
    const decided = (action: string, outcome: string, reason = '') =>
      value(`mqtt_warden_decisions_total{action="${action}",outcome="${outcome}",reason="${reason}"}`)
    expect(decided('connect', 'allow')).toBe(1)
    expect(decided('connect', 'deny', 'bad_credentials')).toBe(1)
    for (const action of ['receive', 'publish', 'subscribe']) expect(decided(action, 'allow'), action).toBe(1)
    expect(decided('subscribe', 'deny', 'no_matching_rule')).toBe(1)
    const requests = (endpoint: string, code: number) =>
      value(`mqtt_warden_request_duration_seconds_count{endpoint="${endpoint}",status="${code}"}`)
    expect([requests('emqx', 200), requests('mosquitto', 200), requests('mosquitto', 403)]).toEqual([2, 3, 1])
    expect(value('mqtt_warden_link_live')).toBe(1)
    expect(body).toMatch(/^mqtt_warden_server_link_live\{server="127\.0\.0\.1:\d+"\} 1$/m)
    expect(body).toMatch(/^mqtt_warden_server_link_age_seconds\{server="127\.0\.0\.1:\d+"\} \d\.\d+$/m)
    expect(value('mqtt_warden_cache_records')).toBe(1)
    expect(value('mqtt_warden_cache_hits_total')).toBeGreaterThan(0)
    expect(value('mqtt_warden_hashes_queued')).toBe(0)
    expect(value('mqtt_warden_revocation_bound_seconds')).toBe(60)
    expect(body).not.toContain('pump-1')
  })

  it('is ready only while Redis answers, and refuses meanwhile', async () => {
    const own = await startRedisServer()
    try {
      const served = await serve([], { REDIS_URL: own.url })
      await eventually(() => isReady(served), 'the server is ready')
      await own.kill()
      await eventually(async () => !(await isReady(served)), 'the server is not ready')
      expect((await get(`${served.url}/health/live`)).body).toBe('{"status":"ok"}')
      expect((await get(`${served.url}/health/ready`)).body).toMatch(/"status":"(blind|unreachable)"/)
      const login = { clientid: 'pump-1', username: 'plant', password: PASSWORD }
      expect((await post(`${served.url}/mosquitto/getuser`, login)).status).toBe(503)
      expect(served.lines.filter(({ event }) => event === 'link').map(({ state }) => state)).toContain('blind')
      await own.restart()
      await eventually(() => isReady(served), 'the server is ready again')
    } finally {
      await own.stop()
    }
  })

  it('starts without Redis, and waits for it', async () => {
    const served = await serve(['--redis', 'redis://127.0.0.1:1'])
    expect((await get(`${served.url}/health/ready`)).status).toBe(503)
    expect(await served.stop()).toBe(0)
  })

  it('wants the secret of everybody but the pages', async () => {
    const args = ['--redis', redis.url, '--listen', '0.0.0.0', '--secret-env', 'AUTH_SECRET']
    const served = await serve(args, { AUTH_SECRET: SECRET })
    const base = served.url.replace('0.0.0.0', '127.0.0.1')
    const login = { clientid: 'pump-1', username: 'plant', password: PASSWORD }
    expect((await post(`${base}/mosquitto/getuser`, login)).status).toBe(404)
    expect((await post(`${base}/mosquitto/${SECRET}/getuser`, login)).status).toBe(200)
    expect(await post(`${base}/emqx/authentication`, login)).toEqual({ status: 200, body: '{"result":"deny"}' })
    expect((await post(`${base}/emqx/${SECRET}/authentication`, login)).body).toContain('allow')
    for (const page of ['/health/live', '/metrics']) expect((await get(base + page)).status).toBe(200)
    for (const page of ['/', '/health', '/metrics/', '/x']) expect((await get(base + page)).status).toBe(404)
    expect((await post(`${base}/metrics`, {})).status).toBe(405)
    expect(JSON.stringify(served.lines)).not.toContain(SECRET)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('answers what is under way before it ends on %s', async signal => {
    const served = await serve(['--redis', redis.url])
    const { port } = new URL(served.url)
    const body = JSON.stringify({ clientid: 'pump-1', username: 'plant', topic: 'news/x', acc: 1 })
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      path: '/mosquitto/aclcheck',
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': body.length },
    })
    const response = new Promise<IncomingMessage>(resolve => request.once('response', resolve))
    request.write(body.slice(0, 10))
    // Answered on a connection of its own, so the first part has arrived by then.
    await get(`${served.url}/health/live`)
    const ended = served.stop(signal)
    await eventually(() => served.lines.some(({ event }) => event === 'stopping'), 'the server is stopping')
    await eventually(() => isClosed(Number(port)), 'no new connection is accepted')
    request.end(body.slice(10))
    const { statusCode } = await response
    expect(statusCode).toBe(200)
    expect(await ended).toBe(0)
    expect(served.lines.at(-1)).toMatchObject({ event: 'stop' })
  })

  it('speaks HTTPS, and wants a certificate of brokers where it is told to', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'warden-serve-'))
    const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
    writeFileSync(cert, CERTIFICATE)
    writeFileSync(key, CERTIFICATE_KEY)
    try {
      const tls = ['--tls-cert', cert, '--tls-key', key, '--tls-client-ca', cert]
      const served = await serve(['--redis', redis.url, '--listen', '0.0.0.0', ...tls])
      const { port, protocol } = new URL(served.url)
      expect(protocol).toBe('https:')
      const status = async (path: string, own: object): Promise<number | undefined> => {
        const isPage = path === '/metrics'
        const options = { port, path, host: '127.0.0.1', method: isPage ? 'GET' : 'POST', ca: CERTIFICATE, ...own }
        const request = httpsRequest(options).end(isPage ? '' : '{}')
        const [response] = (await once(request, 'response')) as [IncomingMessage]
        response.resume()
        return response.statusCode
      }
      const shown = { cert: CERTIFICATE, key: CERTIFICATE_KEY }
      expect(await status('/mosquitto/superuser', {})).toBe(403)
      expect(await status('/mosquitto/nonsense', {})).toBe(403)
      expect(await status('/mosquitto/nonsense', shown)).toBe(400)
      expect(await status('/metrics', {})).toBe(200)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  it('says before it listens that a certificate, its key or an authority cannot be used', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'warden-tls-'))
    const file = (name: string, text: string): string => {
      writeFileSync(join(dir, name), text)
      return join(dir, name)
    }
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    const cert = file('cert.pem', CERTIFICATE)
    const key = file('key.pem', CERTIFICATE_KEY)
    const other = file('other.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
    const cases: [string[], string][] = [
      [['--tls-cert', cert, '--tls-key', other], `--tls-key ${other}: is not the key of the certificate ${cert}`],
      [['--tls-cert', key, '--tls-key', key], `--tls-cert ${key}: holds no certificate in PEM`],
      [['--tls-cert', cert, '--tls-key', cert], `--tls-key ${cert}: holds no private key in PEM`],
      [['--tls-cert', cert, '--tls-key', file('locked.pem', locked.toString())], 'needs a passphrase: take it off'],
      [['--tls-cert', cert, '--tls-key', key, '--tls-client-ca', key], `--tls-client-ca ${key}: holds no certificate`],
    ]
    try {
      for (const [args, message] of cases) {
        const { code, stderr } = await ending(['--redis', redis.url, ...args])
        expect(stderr).toContain(message)
        expect(code).toBe(2)
      }
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  it('says in its log what to do about a Redis that lets nobody in', async () => {
    const served = await serve(['--redis', redis.url.replace('//', '//nobody:hidden@')])
    const trouble = () => served.lines.find(({ place }) => place === 'store: redis link')
    await eventually(() => trouble() !== undefined, 'the trouble is logged')
    expect(trouble()).toMatchObject({ remedy: 'see the user name and the password', code: 'ERR_STORE_UNAVAILABLE' })
    expect(JSON.stringify(served.lines)).not.toContain('hidden')
  })

  it('tells the nodes of VerneMQ that a right is gone', async () => {
    const calls: string[] = []
    const node = createServer((req, res) => {
      calls.push(decodeURIComponent(req.url!))
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify({ type: 'table', table: [] }))
    }).listen(0, '127.0.0.1')
    await once(node, 'listening')
    try {
      const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
      const args = ['--redis', redis.url, '--vernemq-node', url, '--cache-seconds', '60']
      const served = await serve(args, { VERNEMQ_API_KEY: 'key' })
      await eventually(() => calls.some(call => call.includes('cache/clear')), 'the cache is cleared at the start')
      await eventually(() => isReady(served), 'the server is ready')
      const hook = { mountpoint: '', client_id: 'pump-1', username: 'plant', topic: 'state/pump-1/x' }
      const body = { ...hook, qos: 0, retain: false, payload: '' }
      await post(`${served.url}/vernemq`, body, { 'vernemq-hook': 'auth_on_publish' })
      await using store = createRedisStore(redis.url)
      await store.delete(PUMP)
      const isCut = () => calls.some(call => call.includes('session/disconnect') && call.includes('pump-1'))
      await eventually(isCut, 'the client is disconnected')
      expect((await get(`${served.url}/metrics`)).body).toContain('mqtt_warden_vernemq_revocation_bound_seconds')
      expect(await served.stop()).toBe(0)
    } finally {
      node.closeAllConnections()
      node.close()
    }
  })

  it('logs requests that no broker makes', async () => {
    const served = await serve(['--redis', redis.url])
    await post(`${served.url}/rabbitmq/topic`, { username: 'x', vhost: '/', permission: 'destroy' })
    await eventually(() => served.lines.some(({ event }) => event === 'error'), 'it is logged')
    expect(served.lines.find(({ event }) => event === 'error')).toMatchObject({
      place: 'rabbitmq',
      code: 'ERR_HOOK_REQUEST_INVALID',
      message: 'rabbitmq_topic: permission: must be one of write, read',
    })
  })

  it('outlives whoever reads its log', async () => {
    const served = await serve(['--redis', redis.url])
    served.child.stdout!.destroy()
    const login = { clientid: 'pump-1', username: 'plant', password: 'wrong' }
    const isSaid = async (): Promise<boolean> => {
      await post(`${served.url}/mosquitto/getuser`, login)
      return served.errors().includes('nothing is logged from here on')
    }
    await eventually(isSaid, 'it says that its log is lost')
    expect((await get(`${served.url}/health/ready`)).status).toBe(200)
    expect(await served.stop()).toBe(0)
    expect(served.errors().match(/mqtt-warden:/g)).toHaveLength(1)
  })

  it('ends with 2 and says so when the port is taken', async () => {
    const { url } = await serve(['--redis', redis.url])
    const { code, stderr } = await ending(['--redis', redis.url, '--port', new URL(url).port])
    expect(stderr).toMatch(/^mqtt-warden: cannot listen: .*EADDRINUSE.*; end whatever listens there/)
    expect(code).toBe(2)
  })

  it.each<[string[], string, Record<string, string>?]>([
    [[], 'no Redis: give --redis <url> or set REDIS_URL'],
    [['--redis', 'http://x'], 'mqtt-warden: '],
    [['--listen', '0.0.0.0'], 'anybody who reaches 0.0.0.0 could ask for rights'],
    [['--listen', '::'], 'anybody who reaches :: could ask for rights'],
    [['--secret-env', 'NOT_SET'], '--secret-env: the variable NOT_SET is not set'],
    [['--secret-env', 'WEAK'], '"pathSecret" option must be 16 to 256 characters', { WEAK: 'short' }],
    [['--tls-cert', 'x'], '--tls-cert and --tls-key go together'],
    [['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], '/nowhere: '],
    [['--tls-client-ca', 'x'], '--tls-client-ca needs --tls-cert and --tls-key'],
    [['--cache-seconds', '5'], '--cache-seconds needs --vernemq-node'],
    [['--vernemq-node', 'http://127.0.0.1:1'], '--vernemq-key-env: the variable VERNEMQ_API_KEY is not set'],
    [['--vernemq-node', 'x'], '"nodes" option', { VERNEMQ_API_KEY: 'k' }],
    [['--port', '65536'], 'must be an integer from 0 to 65535'],
    [['--semantics', 'x'], 'Allowed choices are strict, vernemq'],
  ])('ends %j with 2 and says what is wrong', async (args, message, env = {}) => {
    const isAboutRedis = args.length === 0 || args[0] === '--redis'
    const { code, stdout, stderr } = await ending(args, isAboutRedis ? env : { REDIS_URL: redis.url, ...env })
    expect(stderr).toContain(message)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })

  it('listens elsewhere without a secret where that is meant', async () => {
    const served = await serve(['--redis', redis.url, '--listen', '0.0.0.0', '--no-secret'])
    expect(served.url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/)
  })
})

function isClosed(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', () => resolve(true))
  })
}
