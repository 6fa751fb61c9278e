import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  createEndpoint,
  createEndpointServer,
  type EndpointOptions,
  type EndpointRequest,
  type EndpointResponse,
  parseQuery,
  type Respond,
  readForm,
  readJson,
  readText,
  routeByPrefix,
} from '../../src/endpoint/index.js'
import { CERTIFICATE, CERTIFICATE_KEY } from '../helpers/certificate.js'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'

const SECRET = 'correct-horse-battery'
const servers: Server[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

/** Answers with what it was asked. */
const echo: Respond = request => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    method: request.method,
    path: request.path,
    query: request.query,
    body: Buffer.from(request.body).toString('utf8'),
    ...(request.parsed !== undefined && { parsed: request.parsed }),
  }),
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

interface Sent {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

type Ask = (sent: Sent) => Promise<{ status: number; headers: Headers; text: string }>

/** The same endpoint asked through either face. */
const faces: readonly [string, (respond: Respond, options?: EndpointOptions) => Promise<Ask>][] = [
  [
    'node',
    async (respond, options) => {
      const port = await listen(createEndpointServer(createEndpoint(respond, options)))
      return async ({ method = 'POST', path = '/', headers = {}, body }) => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, body: body ?? null })
        return { status: response.status, headers: response.headers, text: await response.text() }
      }
    },
  ],
  [
    'fetch',
    async (respond, options) => {
      const endpoint = createEndpoint(respond, options)
      return async ({ method = 'POST', path = '/', headers = {}, body }) => {
        const request = new Request(`http://host${path}`, { method, headers, body: body ?? null })
        const response = await endpoint.fetch(request)
        return { status: response.status, headers: response.headers, text: await response.text() }
      }
    },
  ],
]

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe.each(faces)('the %s face', (_face, open) => {
  it('hands over method, path, query and body, and sends back status, headers and body', async () => {
    const ask = await open(echo)
    const { status, headers, text } = await ask({ path: '/a/b?c=d', body: 'grüße' })
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json')
    expect(JSON.parse(text)).toEqual({ method: 'POST', path: '/a/b', query: 'c=d', body: 'grüße' })
  })

  it('answers without a body for a status that has none', async () => {
    const ask = await open(() => ({ status: 204, headers: {}, body: '' }))
    expect(await ask({})).toMatchObject({ status: 204, text: '' })
  })

  it('takes the path secret off the path and answers 404 to every other one', async () => {
    const ask = await open(echo, { pathSecret: [SECRET, 'the-next-secret-0'] })
    expect(JSON.parse((await ask({ path: `/${SECRET}/vernemq?x` })).text)).toMatchObject({
      path: '/vernemq',
      query: 'x',
    })
    expect(JSON.parse((await ask({ path: '/the-next-secret-0' })).text)).toMatchObject({ path: '/' })
    for (const path of ['/', '/vernemq', `/${SECRET}x`, `/${SECRET.slice(1)}`, `//${SECRET}`, `/${SECRET}%00`]) {
      expect(await ask({ path }), path).toMatchObject({ status: 404, text: '{"error":"no such path"}' })
    }
  })

  it('asks for basic authentication and says so', async () => {
    const ask = await open(echo, { basic: { username: 'vernemq', password: 'p:ä' } })
    expect((await ask({ headers: { authorization: basic('vernemq:p:ä') } })).status).toBe(200)
    expect((await ask({ headers: { authorization: basic('vernemq:p:ä').replace('Basic', 'bAsIc ') } })).status).toBe(
      200,
    )
    const wrong = [undefined, basic('vernemq:p'), basic('other:p:ä'), basic('x'.repeat(9_000)), 'Basic', 'Bearer x']
    for (const authorization of wrong) {
      const answer = await ask({ headers: authorization === undefined ? {} : { authorization } })
      expect(answer.status, authorization).toBe(401)
      expect(answer.headers.get('www-authenticate')).toBe('Basic realm="mqtt-warden"')
    }
  })

  it('wants a client certificate when told so, and none can be shown without TLS', async () => {
    const ask = await open(echo, { clientCertificate: true })
    expect((await ask({})).status).toBe(403)
  })

  it('takes a body of exactly the limit and refuses one byte more', async () => {
    const ask = await open(echo, { maxBodyBytes: 2_000 })
    expect((await ask({ body: 'x'.repeat(2_000) })).status).toBe(200)
    expect((await ask({ body: 'x'.repeat(2_001) })).status).toBe(413)
  })

  it('answers 500 when the adapter throws, and tells who listens', async () => {
    const errors: unknown[] = []
    const failure = new Error('broken')
    const respond = (): never => {
      throw failure
    }
    const ask = await open(respond, { onError: (error, place) => errors.push([error, place]) })
    expect(await ask({})).toMatchObject({ status: 500, text: '{"error":"the request could not be answered"}' })
    expect(errors).toEqual([[failure, 'endpoint']])
  })

  it('tells who listens of every request that it answers without the adapter', async () => {
    const errors: string[] = []
    const onError = (error: unknown, place: string) => void errors.push(`${place}: ${(error as Error).message}`)
    const ask = await open(echo, { pathSecret: SECRET, maxBodyBytes: 2_000, onError })
    await ask({ path: '/vernemq' })
    await ask({ path: `/${SECRET}`, body: 'x'.repeat(2_001) })
    const askNamed = await open(echo, { basic: { username: 'u', password: 'p' }, onError })
    await askNamed({})
    expect(errors).toEqual([
      'endpoint access: no such path',
      'endpoint: body is too large',
      'endpoint access: basic authentication is wrong or missing',
    ])
  })

  it('answers 503 when the adapter does not answer in time, and aborts it', async () => {
    let signal: AbortSignal | undefined
    const ask = await open(
      request => {
        signal = request.signal
        return new Promise(() => {})
      },
      { timeoutMs: 100 },
    )
    expect(await ask({})).toMatchObject({ status: 503, text: '{"error":"no answer in time"}' })
    expect(signal?.aborted).toBe(true)
  })

  it('lets the adapter word its failures, and survives one that cannot', async () => {
    const deny = await open(echo, {
      pathSecret: SECRET,
      fail: ({ status }) => ({ status: 200, headers: {}, body: `deny ${status}` }),
    })
    expect(await deny({ path: '/x' })).toMatchObject({ status: 200, text: 'deny 404' })
    const throwing = await open(echo, {
      pathSecret: SECRET,
      fail: () => {
        throw new Error('broken')
      },
    })
    expect((await throwing({ path: '/x' })).status).toBe(404)
  })
})

describe('the node face', () => {
  /** Writes raw text and resolves with all that comes back until the connection ends. */
  async function raw(port: number, parts: readonly string[]): Promise<string> {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    for (const part of parts) socket.write(part)
    let text = ''
    socket.on('data', data => {
      text += data
    })
    await new Promise(resolve => socket.once('close', resolve))
    return text
  }

  it('gives up on a body that stays away, while it answers others', async () => {
    const errors: string[] = []
    const onError = (error: unknown, place: string) => void errors.push(`${place}: ${(error as Error).message}`)
    const port = await listen(createEndpointServer(createEndpoint(echo, { timeoutMs: 300, onError })))
    const slow = raw(port, ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc'])
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200)
    const answer = await slow
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toMatch(/connection: close/i)
    expect(errors).toEqual(['endpoint: body did not arrive in time'])
  })

  it('refuses a body by its announced length before reading it', async () => {
    const port = await listen(createEndpointServer(createEndpoint(echo, { maxBodyBytes: 2_000 })))
    expect(await raw(port, ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n'])).toMatch(
      /^HTTP\/1\.1 413 /,
    )
  })

  it('refuses a chunked body as soon as it is too long', async () => {
    const port = await listen(createEndpointServer(createEndpoint(echo, { maxBodyBytes: 2_000 })))
    const chunk = `7d0\r\n${'x'.repeat(2_000)}\r\n`
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    expect(await raw(port, [head, chunk, '1\r\nx\r\n'])).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('holds no more bytes of bodies than allowed, and takes bodies again afterwards', async () => {
    const options = { maxBodyBytes: 2_000, maxPendingBytes: 3_000 }
    const port = await listen(createEndpointServer(createEndpoint(echo, options)))
    const socket = connect(port, '127.0.0.1')
    const gone = once(socket, 'close')
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n${'x'.repeat(1_999)}`)
    const post = () => fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x'.repeat(1_500) })
    await expect.poll(async () => (await post()).status).toBe(503)
    socket.destroy()
    await gone
    await expect.poll(async () => (await post()).status).toBe(200)
  })

  it('ends every request at its own time, those that are answered meanwhile aside', async () => {
    const respond: Respond = ({ path }) =>
      path === '/hang' ? new Promise(() => {}) : { status: 200, headers: {}, body: 'ok' }
    const port = await listen(createEndpointServer(createEndpoint(respond, { timeoutMs: 200 })))
    const ask = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status
    for (let round = 0; round < 2; round++) {
      expect(await Promise.all(['/hang', '/', '/hang', '/'].map(ask))).toEqual([503, 200, 503, 200])
    }
  })

  it('takes a body that arrives in many parts', async () => {
    const port = await listen(createEndpointServer(createEndpoint(echo)))
    const socket = connect(port, '127.0.0.1')
    const answer = new Promise<string>(resolve => {
      let text = ''
      socket.on('data', data => {
        text += data
        if (text.includes('}')) resolve(text)
      })
    })
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (const letter of 'many parts') {
      await new Promise(resolve => socket.write(`1\r\n${letter}\r\n`, resolve))
    }
    socket.write('0\r\n\r\n')
    expect(await answer).toContain('"body":"many parts"')
    socket.destroy()
  })

  it('answers requests that are sent without waiting in their order, whichever is ready first', async () => {
    const first = deferred<EndpointResponse>()
    const say = (body: string): EndpointResponse => ({ status: 200, headers: {}, body })
    const respond: Respond = ({ path }) => {
      if (path === '/slow') return first.promise
      first.resolve(say('<slow>'))
      return say('<quick>')
    }
    const port = await listen(createEndpointServer(createEndpoint(respond)))
    const text = await raw(port, [
      'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    ])
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
    expect(text.match(/<\w+>/g)).toEqual(['<slow>', '<quick>'])
  })

  it('sends an answer whole that is more than a socket takes at once, and answers on', async () => {
    const body = '€'.repeat(2_000_000)
    const port = await listen(createEndpointServer(createEndpoint(() => ({ status: 200, headers: {}, body }))))
    const socket = connect(port, '127.0.0.1').pause()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const answers = Buffer.concat(chunks)
      .toString()
      .split(/HTTP\/1\.1 200 OK\r\n/)
    expect(answers.map(answer => answer.split('\r\n\r\n')[1]?.length)).toEqual([undefined, body.length, body.length])
    expect(answers[1]).toMatch(/content-length: 6000000\r\n/i)
  })

  it('aborts the adapter when the caller hangs up', async () => {
    const asked = deferred<AbortSignal>()
    const respond: Respond = request => {
      asked.resolve(request.signal)
      return new Promise(() => {})
    }
    const port = await listen(createEndpointServer(createEndpoint(respond)))
    const socket = connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const signal = await asked.promise
    expect(signal.aborted).toBe(false)
    const aborted = once(signal, 'abort')
    socket.destroy()
    await aborted
  })

  it('refuses a head that is too long', async () => {
    const port = await listen(createEndpointServer(createEndpoint(echo)))
    expect(await raw(port, [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`])).toMatch(
      /^HTTP\/1\.1 431 /,
    )
  })

  it('reports an answer that cannot be sent and cuts the connection', async () => {
    const errors: string[] = []
    const respond: Respond = () => ({ status: 200, headers: { bad: 'a\r\nb' }, body: '' })
    const endpoint = createEndpoint(respond, { onError: (_error, place) => errors.push(place) })
    const port = await listen(createEndpointServer(endpoint))
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow()
    expect(errors).toEqual(['endpoint response'])
  })

  it('warns once of what failed when nobody listens, and of a listener that throws', async () => {
    const heard: string[] = []
    const hear = ({ message }: Error) => void (message.startsWith('endpoint: ') && heard.push(message))
    process.on('warning', hear)
    onTestFinished(() => void process.off('warning', hear))
    const respond: Respond = () => {
      throw new Error('no answer today')
    }
    const onError = () => {
      throw new Error('no log today')
    }
    for (const { fetch } of [createEndpoint(respond), createEndpoint(respond, { onError })]) {
      for (const path of ['a', 'b']) expect((await fetch(new Request(`http://x/${path}`))).status).toBe(500)
    }
    await eventually(() => heard.length === 3, 'the warnings')
    // From another place; a stranger could otherwise use up the only warning.
    const strange = createEndpoint(respond, { pathSecret: SECRET })
    await strange.fetch(new Request('http://x/'))
    await strange.fetch(new Request(`http://x/${SECRET}`))
    await eventually(() => heard.length === 4, 'the warning behind that of the stranger')
    expect(heard.pop()).toContain('no answer today')
    const unheard = 'endpoint: no answer today (no "onError" option; reported once)'
    const thrown = 'endpoint: "onError" option threw: no log today'
    expect(heard).toEqual([unheard, thrown, thrown])
  })

  it('keeps an idle connection although the server around it would close it', async () => {
    const mounted = createEndpoint(echo)
    // What Express and Fastify do by default, only quicker: 5 s there.
    const server = createServer({ keepAliveTimeout: 20 }, (req, res) => {
      if (req.url === '/other') res.end('x')
      else mounted.node(req, res)
    })
    const port = await listen(server)
    const idle = async (path: string): Promise<Socket> => {
      const socket = connect(port, '127.0.0.1')
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await once(socket, 'data')
      return socket
    }
    const kept = await idle('/')
    const other = await idle('/other')
    other.resume()
    await once(other, 'close')
    kept.write('GET /again HTTP/1.1\r\nHost: x\r\n\r\n')
    const [data] = await once(kept, 'data')
    expect(String(data)).toMatch(/^HTTP\/1\.1 200 /)
    expect(String(data)).toMatch(/keep-alive: timeout=75\r\n/i)
    kept.destroy()
  })

  it.each([
    ['parsed JSON', { a: 1 }, { parsed: { a: 1 } }],
    ['raw bytes', Buffer.from('{"a":1}'), { body: '{"a":1}' }],
    ['text', '{"a":1}', { parsed: '{"a":1}' }],
  ])('takes what a body parser in front has read: %s', async (_what, body, expected) => {
    const endpoint = createEndpoint(echo)
    const port = await listen(
      createServer((req, res) => void consume(req).then(() => endpoint.node(Object.assign(req, { body }), res))),
    )
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{"a":1}' })
    expect(await response.json()).toMatchObject(expected)
  })

  it('answers 400 when somebody in front has read the body and kept it', async () => {
    const endpoint = createEndpoint(echo)
    const port = await listen(createServer((req, res) => void consume(req).then(() => endpoint.node(req, res))))
    expect((await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'x' })).status).toBe(400)
  })

  async function consume(req: IncomingMessage): Promise<void> {
    req.resume()
    await once(req, 'end')
  }
})

describe('the fetch face', () => {
  it('does not ask the adapter about the part of a body that came before the time was up', async () => {
    const asked: string[] = []
    const errors: string[] = []
    const endpoint = createEndpoint(
      request => {
        asked.push(Buffer.from(request.body).toString())
        return { status: 200, headers: {}, body: '' }
      },
      { timeoutMs: 100, onError: error => errors.push((error as Error).message) },
    )
    const body = new ReadableStream({ start: controller => controller.enqueue(Buffer.from('password=corr')) })
    const { status } = await endpoint.fetch(new Request('http://x/', { method: 'POST', body, duplex: 'half' }))
    expect(status).toBe(408)
    await new Promise(resolve => setImmediate(resolve))
    expect([asked, errors]).toEqual([[], ['body did not arrive in time']])
  })
})

describe('client certificates', () => {
  it('are wanted on resumed TLS sessions too', async () => {
    const endpoint = createEndpoint(echo, { clientCertificate: true })
    const tls = {
      cert: CERTIFICATE,
      key: CERTIFICATE_KEY,
      ca: CERTIFICATE,
      requestCert: true,
      rejectUnauthorized: false,
    }
    const port = await listen(createEndpointServer(endpoint, { tls }))
    const ask = async (own: object, session?: Buffer) => {
      const options = { port, host: '127.0.0.1', ca: CERTIFICATE, ...own, ...(session && { session }) }
      const socket = connectTls(options)
      const tickets: Buffer[] = []
      socket.on('session', ticket => tickets.push(ticket))
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      let text = ''
      socket.on('data', data => (text += data))
      await once(socket, 'secureConnect')
      const isReused = socket.isSessionReused()
      await once(socket, 'close')
      return { status: Number(text.split(' ')[1]), isReused, session: tickets[0] }
    }
    for (const [own, status] of [
      [{}, 403],
      [{ cert: CERTIFICATE, key: CERTIFICATE_KEY }, 200],
    ] as const) {
      const first = await ask(own)
      expect(first).toMatchObject({ status, isReused: false })
      expect(await ask(own, first.session)).toMatchObject({ status, isReused: true })
    }
  })
})

describe('createEndpointServer', () => {
  it('keeps connections for 75 s, longer than the pool of VerneMQ, and times heads later still', () => {
    const server = createEndpointServer(createEndpoint(echo))
    expect(server.keepAliveTimeout).toBe(75_000)
    expect(server.headersTimeout).toBeGreaterThan(server.keepAliveTimeout)
    expect(server.requestTimeout).toBeGreaterThanOrEqual(server.headersTimeout)
    expect(server.maxConnections).toBe(10_000)
  })

  it('lets a request finish when it is closed', async () => {
    const answer = deferred<EndpointResponse>()
    const asked = deferred<void>()
    const endpoint = createEndpoint(() => {
      asked.resolve()
      return answer.promise
    })
    const server = createEndpointServer(endpoint)
    const port = await listen(server)
    const response = once(httpRequest({ port, host: '127.0.0.1' }).end(), 'response')
    await asked.promise
    const closed = new Promise(resolve => server.close(resolve))
    answer.resolve({ status: 200, headers: {}, body: 'done' })
    const [message] = (await response) as [IncomingMessage]
    message.resume()
    expect(message.statusCode).toBe(200)
    await closed
  })
})

describe('options of an endpoint', () => {
  it.each<[object, string]>([
    [{ maxBodyBytes: 1 }, '"maxBodyBytes" option must be an integer from 1024 to 536870912'],
    [
      { maxBodyBytes: 5_000, maxPendingBytes: 4_000 },
      '"maxPendingBytes" option must be an integer from 5000 to 4294967296',
    ],
    [{ timeoutMs: 0 }, '"timeoutMs" option must be an integer from 100 to 300000'],
    [{ keepAliveMs: 5 }, '"keepAliveMs" option must be an integer from 1000 to 3600000'],
    [
      { pathSecret: 'short' },
      '"pathSecret" option must be 16 to 256 characters of A-Z a-z 0-9 . _ ~ -, or an array of such',
    ],
    [
      { pathSecret: [] },
      '"pathSecret" option must be 16 to 256 characters of A-Z a-z 0-9 . _ ~ -, or an array of such',
    ],
    [
      { basic: { username: 'a:b', password: 'x' } },
      '"basic" option must have a "username" without ":" and a "password"',
    ],
    [{ basic: null }, '"basic" option must have a "username" without ":" and a "password"'],
    [{ pathSecret: undefined }, '"pathSecret" option is undefined: leave it out if anybody may ask'],
    [{ basic: undefined }, '"basic" option is undefined: leave it out if anybody may ask'],
    [{ pathSecret: undefined }, '"pathSecret" option is undefined: leave it out if anybody may ask'],
    [{ basic: undefined }, '"basic" option is undefined: leave it out if anybody may ask'],
    [{ clientCertificate: 'yes' }, '"clientCertificate" option must be true or false'],
    [{ fail: 'x' }, '"fail" option must be a function'],
    [{ onError: 1 }, '"onError" option must be a function'],
  ])('refuses %o', (options, message) => {
    expect(() => createEndpoint(echo, options as EndpointOptions)).toThrow(new TypeError(message))
  })
})

describe('routeByPrefix', () => {
  const tell =
    (name: string): Respond =>
    ({ path }) => ({ status: 200, headers: {}, body: `${name} ${path}` })
  const respond = routeByPrefix({ '/a': tell('a'), '/a/b': tell('ab') })
  const ask = async (path: string) => {
    const request: EndpointRequest = {
      method: 'GET',
      path,
      query: '',
      header: () => undefined,
      body: new Uint8Array(0),
      address: undefined,
      signal: AbortSignal.abort(),
    }
    const { status, body } = await respond(request)
    return status === 200 ? body : status
  }

  it.each([
    ['/a', 'a /'],
    ['/a/', 'a /'],
    ['/a/c', 'a /c'],
    ['/a/b', 'ab /'],
    ['/a/b/c', 'ab /c'],
    ['/a/bc', 'a /bc'],
    ['/ab', 404],
    ['/', 404],
  ])('sends %s to %s', async (path, expected) => {
    expect(await ask(path)).toBe(expected)
  })

  it('refuses what is no prefix', () => {
    expect(() => routeByPrefix({ a: tell('a') })).toThrow(new TypeError('"routes" argument: "a" is no prefix'))
  })
})

describe('bodies', () => {
  const holding = (body: string | Uint8Array, parsed?: unknown): EndpointRequest =>
    ({
      body: typeof body === 'string' ? Buffer.from(body) : body,
      ...(parsed !== undefined && { parsed }),
    }) as EndpointRequest

  it('are never repaired: bytes that are not UTF-8 are a problem', () => {
    expect(readText(holding(Uint8Array.of(0x22, 0xff, 0x22)))).toEqual({ problem: 'body is not UTF-8' })
    expect(readJson(holding(Uint8Array.of(0x22, 0xff, 0x22)))).toEqual({ problem: 'body is not UTF-8' })
  })

  it('are read as JSON without repeating what is wrong with them', () => {
    expect(readJson(holding('{"a":[1]}'))).toEqual({ value: { a: [1] } })
    expect(readJson(holding('{"secret"'))).toEqual({ problem: 'body is not JSON' })
    expect(readJson(holding(''))).toEqual({ problem: 'body is not JSON' })
    expect(readJson(holding('\ufeff{}'))).toEqual({ problem: 'body is not JSON' })
    expect(readJson(holding('', { a: 1 }))).toEqual({ value: { a: 1 } })
    expect(readJson(holding('', '{"a":1}'))).toEqual({ value: { a: 1 } })
  })

  it('are read as forms without names that nobody sent', () => {
    const form = readForm(holding('username=a+b&topic=%2F%23&username=second'))
    expect(form).toEqual({ value: { username: 'a b', topic: '/#' } })
    expect('constructor' in parseQuery('a=1')).toBe(false)
    expect(parseQuery('__proto__=x')).toHaveProperty('__proto__', 'x')
    expect(readForm(holding('', { username: 'u', nested: {} }))).toEqual({ value: { username: 'u' } })
    expect(readForm(holding(Uint8Array.of(0xff)))).toEqual({ problem: 'body is not UTF-8' })
  })
})
