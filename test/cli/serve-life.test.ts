import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CERTIFICATE, CERTIFICATE_KEY } from '../helpers/certificate.js'
import { eventually } from '../helpers/eventually.js'
import { ending, get, post, serve, useRedis } from './serve-support.js'

describe('mqtt-warden serve, from its start to its end,', () => {
  const redis = useRedis()

  it('starts without Redis, and waits for it', async () => {
    const served = await serve(['--redis', 'redis://127.0.0.1:1'])
    expect((await get(`${served.url}/health/ready`)).status).toBe(503)
    expect(await served.stop()).toBe(0)
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
    [['--secret-env', 'WEAK'], 'mqtt-warden: --secret-env: WEAK must be 16 to 256 characters', { WEAK: 'short' }],
    [['--tls-cert', 'x'], '--tls-cert and --tls-key go together'],
    [['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], '/nowhere: '],
    [['--tls-client-ca', 'x'], '--tls-client-ca needs --tls-cert and --tls-key'],
    [['--cache-seconds', '5'], '--cache-seconds needs --vernemq-node'],
    [['--vernemq-node', 'http://127.0.0.1:1'], '--vernemq-key-env: the variable VERNEMQ_API_KEY is not set'],
    [['--vernemq-node', 'x'], 'mqtt-warden: --vernemq-node must be 1 to 256 origins', { VERNEMQ_API_KEY: 'k' }],
    [
      ['--vernemq-node', 'http://h', '--vernemq-key-env', 'K'],
      'mqtt-warden: --vernemq-key-env: K must be',
      { K: 'a:b' },
    ],
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
