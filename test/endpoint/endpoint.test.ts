import { describe, expect, it } from 'vitest'
import {
  createEndpoint,
  createEndpointServer,
  type EndpointOptions,
  type EndpointRequest,
  parseQuery,
  type Respond,
  readForm,
  readJson,
  readText,
  routeByPrefix,
} from '../../src/endpoint/index.js'
import { echo, listen, SECRET } from './support.js'

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

  it('answers 400 when somebody in front is reading the body, or has read it', async () => {
    const { fetch } = createEndpoint(echo, { onError: () => {} })
    const locked = new Request('http://x/', { method: 'POST', body: 'x' })
    locked.body!.getReader()
    const used = new Request('http://x/', { method: 'POST', body: 'x' })
    await used.text()
    expect([(await fetch(locked)).status, (await fetch(used)).status]).toEqual([400, 400])
  })

  it.each([
    { status: 99, headers: {}, body: '' },
    { status: 200, headers: { 'x-y': 'a\r\nset-cookie: b' }, body: '' },
    { status: 204, headers: {}, body: 'something' },
  ])('answers 500 in place of what cannot be sent, and tells who listens: %j', async response => {
    const places: string[] = []
    const { fetch } = createEndpoint(() => response, { onError: (_error, place) => places.push(place) })
    const { status } = await fetch(new Request('http://x/'))
    expect([status, places]).toEqual([500, ['endpoint response']])
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
    [{ pathSecret: 'short' }, '"pathSecret" option must be 16 to 256 characters of A-Z a-z 0-9 . _ ~ -'],
    [
      { pathSecret: [] },
      '"pathSecret" option must be an array of texts of 16 to 256 characters of A-Z a-z 0-9 . _ ~ -',
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
