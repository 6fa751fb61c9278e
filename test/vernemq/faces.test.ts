import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createEndpointServer, type WebhookHandler } from '../../src/vernemq/index.js'
import { bodyOf, keyOf, open, RECORDED, recordOf } from './support.js'

const rules = { publishAcl: [{ pattern: 'a' }], subscribeAcl: [] }
const handlerOf = () => open([[keyOf('c1'), recordOf(rules)]]).handler

async function listen(server: Server): Promise<string> {
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function readJson(req: AsyncIterable<Buffer>): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString())
}

/** A router as Express has it: takes the prefix off the URL, and may have parsed the body. */
const express =
  (handler: WebhookHandler, parsesBody: boolean): RequestListener =>
  async (req, res) => {
    if (!req.url!.startsWith('/hooks')) {
      res.writeHead(404).end()
      return
    }
    req.url = req.url!.slice('/hooks'.length) || '/'
    if (parsesBody) Object.assign(req, { body: await readJson(req) })
    handler.node(req, res)
  }

/** A route of Fastify that parses the body itself and uses the pure function. */
const fastify =
  (handler: WebhookHandler): RequestListener =>
  async (req, res) => {
    const { status, headers, body } = await handler.handle(String(req.headers['vernemq-hook']), await readJson(req))
    res.writeHead(status, headers).end(body)
  }

const mounted: readonly [string, (handler: WebhookHandler) => Promise<(init: RequestInit) => Promise<Response>>][] = [
  ['a server of its own', async handler => through(await listen(createEndpointServer(handler)))],
  ['node:http', async handler => through(await listen(createServer(handler.node)))],
  ['a router like that of Express', async handler => through(await listen(createServer(express(handler, false))))],
  ['such a router behind a body parser', async handler => through(await listen(createServer(express(handler, true))))],
  ['a route like that of Fastify', async handler => through(await listen(createServer(fastify(handler))))],
  ['fetch', async handler => init => handler.fetch(new Request('http://host/hooks', init))],
]

const through = (origin: string) => (init: RequestInit) => fetch(`${origin}/hooks`, init)

describe.each(mounted)('mounted in %s', (_name, mount) => {
  it('answers hooks', async () => {
    const ask = await mount(handlerOf())
    const post = async (hook: string, body: object) => {
      const response = await ask({ method: 'POST', headers: { 'vernemq-hook': hook }, body: JSON.stringify(body) })
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(response.headers.has('cache-control')).toBe(false)
      return response.text()
    }
    expect(await post('auth_on_register', bodyOf.register())).toBe('{"result":"ok"}')
    expect(await post('auth_on_publish', bodyOf.publish('a'))).toBe('{"result":"ok"}')
    expect(await post('auth_on_publish', bodyOf.publish('b'))).toBe('{"result":{"error":"no_matching_rule"}}')
    expect(await post('on_client_gone', { mountpoint: '', client_id: 'c1' })).toBe('{}')
  })
})

describe('over HTTP', () => {
  it('takes recorded calls byte by byte, headers included', async () => {
    const url = await listen(createEndpointServer(handlerOf()))
    for (const { headers, body_raw } of RECORDED) {
      const { Host: _host, 'Content-Length': _length, ...sent } = headers as Record<string, string>
      const response = await fetch(url, { method: 'POST', headers: sent, body: body_raw })
      expect(response.status).toBe(200)
      await response.text()
    }
  })

  it('names what it refuses to read', async () => {
    const { handler, errors } = open([])
    const url = await listen(createEndpointServer(handler))
    const get = await fetch(url, { headers: { 'vernemq-hook': 'auth_on_publish' } })
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
    const nameless = await fetch(url, { method: 'POST', body: '{}' })
    expect(nameless.status).toBe(400)
    expect(await nameless.json()).toMatchObject({ message: 'webhook: the header vernemq-hook is missing' })
    const bad = await fetch(url, { method: 'POST', headers: { 'vernemq-hook': 'auth_on_publish' }, body: '{' })
    expect([bad.status, await bad.json()]).toEqual([
      400,
      { error: 'ERR_HOOK_REQUEST_INVALID', message: 'auth_on_publish: body is not JSON' },
    ])
    expect(errors).toMatchObject([
      { message: 'webhook: is asked with another method than POST' },
      { hook: 'webhook', path: '' },
      { hook: 'auth_on_publish', path: '' },
    ])
  })

  it('drops the hash of a login whose caller has hung up', async () => {
    const { authorizer, handler } = open([[keyOf('c1'), recordOf()]])
    const signals: (AbortSignal | undefined)[] = []
    Object.assign(authorizer, {
      verify: ({ signal }: { signal?: AbortSignal }) => {
        signals.push(signal)
        return new Promise(() => {})
      },
    })
    const url = await listen(createEndpointServer(handler))
    const caller = new AbortController()
    const body = JSON.stringify(bodyOf.register())
    const headers = { 'vernemq-hook': 'auth_on_register' }
    const sent = fetch(url, { method: 'POST', headers, body, signal: caller.signal })
    await expect.poll(() => signals.length).toBe(1)
    caller.abort()
    await expect(sent).rejects.toThrow()
    await expect.poll(() => signals[0]?.aborted).toBe(true)
  })
})
