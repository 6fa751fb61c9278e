import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Authorizer } from '../../src/authorizer/index.js'
import { createAuthorizer } from '../../src/authorizer/index.js'
import {
  createEmqxHandler,
  createEndpointServer,
  createGoAuthHandler,
  createNanomqHandler,
  createRabbitmqHandler,
  type HttpHandler,
  type HttpHandlerOptions,
} from '../../src/http/index.js'
import { createMemoryStore } from '../../src/store/index.js'
import { plainHasher, RECORDS } from './support.js'

const SECRET = 'a-secret-of-the-path'

interface Broker {
  readonly name: string
  readonly create: (authorizer: Authorizer, options: HttpHandlerOptions) => HttpHandler
  /** What the broker would take for a grant, or for nobody's answer at all. */
  readonly isHole: (status: number, body: string) => boolean
  /** Calls that are granted as they stand, all of whose fields matter. */
  readonly calls: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const ok = (status: number): boolean => status >= 200 && status < 300
const me = { clientid: 'pump-1', username: 'plant' }
const rabbit = { username: 'plant', vhost: '/', client_id: 'pump-1' }

const BROKERS: readonly Broker[] = [
  {
    name: 'emqx',
    create: createEmqxHandler,
    isHole: (status, body) => status !== 200 || body !== '{"result":"deny"}',
    calls: {
      authentication: { ...me, password: 'pw' },
      authorization: { ...me, topic: 'state/pump-1/x', action: 'publish' },
    },
  },
  {
    name: 'rabbitmq',
    create: createRabbitmqHandler,
    isHole: (status, body) => ok(status) && body !== 'deny',
    calls: {
      user: { ...rabbit, password: 'pw' },
      vhost: rabbit,
      resource: { ...rabbit, resource: 'queue', name: 'mqtt-subscription-pump-1qos0', permission: 'read' },
      topic: { ...rabbit, name: 'amq.topic', permission: 'read', routing_key: 'news.x' },
    },
  },
  {
    name: 'goauth',
    create: createGoAuthHandler,
    isHole: ok,
    calls: { getuser: { ...me, password: 'pw' }, aclcheck: { ...me, topic: 'news/x', acc: '1' } },
  },
  {
    name: 'nanomq',
    create: createNanomqHandler,
    isHole: ok,
    calls: { auth: { ...me, password: 'pw' }, acl: { ...me, topic: 'news/x', access: '1' } },
  },
]

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)

/** What may stand in place of a text. */
const VALUES: readonly unknown[] = [
  undefined,
  null,
  true,
  7,
  [],
  ['pump-1'],
  {},
  { toString: 'x' },
  '',
  '\0',
  '\ud800',
  'pump-1\0',
  'x'.repeat(70_000),
  JSON.parse(deep(500)),
]

/** Bodies that are no fields at all. */
const BODIES: readonly (string | Uint8Array<ArrayBuffer>)[] = [
  '',
  '{',
  'null',
  '[]',
  '"allow"',
  '1e999',
  '{"result":"allow"}',
  '{"__proto__":{"username":"plant","clientid":"pump-1","password":"pw","topic":"news/x","acc":1}}',
  deep(100_000),
  `{"a":${deep(100_000)}}`,
  new Uint8Array([0xff, 0xfe, 0x7b, 0x7d]),
]

const FORMS: readonly string[] = [
  'username=plant&username=plant&clientid=pump-1&client_id=pump-1&password=pw&vhost=/',
  'username=%ff&clientid=pump-1&client_id=pump-1&password=pw&vhost=/',
  'username=%zz&clientid=pump-1&client_id=pump-1&password=pw&vhost=/',
  '__proto__=x&username[]=plant&clientid[$ne]=x&password[$ne]=x',
  '&&==&=x&%00=%00',
]

describe.each(BROKERS)('hostile requests to $name', ({ name, create, isHole, calls }) => {
  const errors: { error: unknown; place: string }[] = []
  let authorizer: Authorizer
  let handler: HttpHandler
  let asked = 0

  beforeAll(() => {
    authorizer = createAuthorizer({ store: createMemoryStore(RECORDS), hasher: plainHasher, refusalCapMs: 0 })
    handler = create(authorizer, { pathSecret: SECRET, onError: (error, place) => errors.push({ error, place }) })
  })
  afterAll(() => authorizer.close())

  /** Sends one hostile request and wants it refused. */
  async function refused(path: string, init: RequestInit, what: string): Promise<void> {
    asked++
    const response = await handler.fetch(new Request(`http://host/${path}`, init))
    const body = await response.text()
    expect(isHole(response.status, body), `${what}: ${response.status} ${body}`).toBe(false)
  }

  const post = (body: string | Uint8Array<ArrayBuffer>, type = 'application/json'): RequestInit => ({
    method: 'POST',
    headers: { 'content-type': type },
    body,
  })

  it('would be granted if they were not hostile', async () => {
    for (const [call, fields] of Object.entries(calls)) {
      const response = await handler.fetch(new Request(`http://host/${SECRET}/${call}`, post(JSON.stringify(fields))))
      expect(response.status, call).toBe(200)
      expect(await response.text(), call).toMatch(/allow|ok/)
    }
  })

  it.each(Object.entries(calls))('are refused when a field of %s is something else', async (call, fields) => {
    for (const field of Object.keys(fields)) {
      for (const value of VALUES) {
        const body = JSON.stringify({ ...fields, [field]: value })
        await refused(`${SECRET}/${call}`, post(body), `${field}=${body.slice(0, 80)}`)
      }
    }
  })

  it.each(Object.entries(calls))('are refused when %s holds no fields', async (call, fields) => {
    for (const body of BODIES) await refused(`${SECRET}/${call}`, post(body), String(body).slice(0, 40))
    for (const body of FORMS) await refused(`${SECRET}/${call}`, post(body, 'application/x-www-form-urlencoded'), body)
    for (const body of FORMS) await refused(`${SECRET}/${call}?${body}`, { method: 'GET' }, body)
    const form = new URLSearchParams(fields).toString()
    await refused(`${SECRET}/${call}`, post(form), 'a form called JSON')
    await refused(`${SECRET}/${call}`, post(JSON.stringify(fields), 'application/x-www-form-urlencoded'), 'and back')
    const [[first]] = Object.entries(fields) as [[string, string]]
    await refused(`${SECRET}/${call}?${form}&${first}=x`, { method: 'GET' }, 'the same field once more')
  })

  it.each(Object.entries(calls))('are refused when they ask for %s in another way', async (call, fields) => {
    const request = post(JSON.stringify(fields))
    for (const method of ['DELETE', 'PATCH', 'OPTIONS'])
      await refused(`${SECRET}/${call}`, { ...request, method }, method)
    const paths = ['', 'x', `${call}/`, `${call}/x`, `/${call}`, call.toUpperCase(), '__proto__', 'toString', '%2e']
    for (const path of paths) await refused(`${SECRET}/${path}`, request, path)
    for (const secret of ['', 'x', SECRET.slice(1), `${SECRET}x`, encodeURIComponent(`${SECRET}/`)]) {
      await refused(secret === '' ? call : `${secret}/${call}`, request, `secret ${secret}`)
    }
  })

  it('are refused when their body has ten megabytes, while others are answered', async () => {
    const server = createEndpointServer(handler).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${SECRET}`
    const [call, fields] = Object.entries(calls)[0]!
    const large = JSON.stringify({ ...fields, padding: 'x'.repeat(10_000_000) })
    const send = (body: string) =>
      fetch(`${base}/${call}`, post(body)).then(async response => [response.status, await response.text()] as const)
    // A client that is still sending may see the connection end before the answer.
    const hostile = Array.from({ length: 5 }, () => send(large).catch(() => [413, '{"result":"deny"}'] as const))
    expect((await send(JSON.stringify(fields)))[1]).toMatch(/allow|ok/)
    for (const [status, body] of await Promise.all(hostile)) expect(isHole(status, body)).toBe(false)
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })

  it('are told to who runs the endpoint, by name, and number more than two hundred among all brokers', () => {
    expect(asked).toBeGreaterThan(100)
    expect(errors.length).toBeGreaterThan(50)
    expect(errors.filter(({ place }) => !place.startsWith(name))).toEqual([])
    const unread = errors.filter(({ place }) => place === name).map(({ error }) => error as Error & { code?: string })
    expect(unread.filter(({ code }) => code !== 'ERR_HOOK_REQUEST_INVALID')).toEqual([])
    expect(unread.filter(({ message }) => !message.includes(name))).toEqual([])
    // Five wrong secrets for each call, and five bodies that are too large.
    const strange = errors.filter(({ place }) => place === `${name} endpoint access`)
    expect(strange).toHaveLength(5 * Object.keys(calls).length)
    expect(errors.filter(({ place }) => place === `${name} endpoint`)).toHaveLength(5)
  })
})
