import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createEndpoint, createEndpointServer, type EndpointResponse, type Respond } from '../../src/endpoint/index.js'
import { CERTIFICATE, CERTIFICATE_KEY } from '../helpers/certificate.js'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import { echo, listen, SECRET } from './support.js'

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
