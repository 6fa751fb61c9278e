import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as checks from '../../src/vernemq/checks.js'
import { HOOKS } from '../../src/vernemq/hooks.js'
import { createEndpointServer } from '../../src/vernemq/index.js'
import { bodyOf, keyOf, open, RECORDED, recordOf } from './support.js'

const SECRET = 'a-secret-of-the-test'
const EVERYTHING = [{ pattern: '#' }, { pattern: '$SYS/#' }]
const rules = { publishAcl: EVERYTHING, subscribeAcl: EVERYTHING }

/** The same numbers in every run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
}

const random = randomNumbers(7)
const pick = <T>(items: readonly T[]): T => items[random(items.length)]!

interface Hostile {
  readonly name: string
  readonly head: string
  readonly body: Buffer
  /** Whether the rest of the body never comes. */
  readonly isSlow?: boolean
}

const head = (lines: Record<string, string | number>, method = 'POST', path = `/${SECRET}`) =>
  `${method} ${path} HTTP/1.1\r\n${Object.entries({ Host: 'x', Connection: 'close', ...lines })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`

function request(name: string, hook: string, body: Buffer | string, more: Partial<Hostile> = {}): Hostile {
  const bytes = Buffer.from(body as string)
  return { name, head: head({ 'vernemq-hook': hook, 'Content-Length': bytes.length }), body: bytes, ...more }
}

const NOT_TEXT = [undefined, 0, 1.5, true, [], {}, ['x'], { toString: 'x' }, null] as const
/** Values that a member must not have, by what it must be. */
const WRONG: ReadonlyMap<checks.Check, readonly unknown[]> = new Map<checks.Check, readonly unknown[]>([
  [checks.text, NOT_TEXT],
  [checks.nullableText, NOT_TEXT.filter(value => value !== null)],
  [checks.optionalText, NOT_TEXT.filter(value => value !== undefined)],
  [checks.flag, [undefined, null, 0, 1, 'true', {}, []]],
  [checks.qos, [undefined, null, -1, 3, 128, 0.5, '0', true, {}, [], 1e308]],
  [checks.port, [undefined, null, -1, 65_536, 0.5, '1883', {}]],
  [checks.properties, [undefined, null, 'x', 1, []]],
  [checks.filters, [undefined, null, 'a', {}, [1], [null], [['a']], [{}]]],
  [
    checks.subscriptions,
    [undefined, null, 'a', {}, ['a'], [null], [[]], [{}], [{ topic: 'a' }], [{ topic: 'a', qos: 3 }]],
  ],
  [checks.notedSubscriptions, [undefined, null, 'a', {}, ['a'], [{ topic: 1, qos: 0 }], [{ topic: 'a', qos: 129 }]]],
])

/** A recorded call with one member spoilt. */
function spoilt(index: number): Hostile {
  const { hook, body } = pick(RECORDED.filter(({ body }) => body.username === 'u1'))
  const [field, check] = pick(Object.entries(HOOKS.get(hook)!.fields))
  const value = pick(WRONG.get(check)!)
  const text = JSON.stringify({ ...body, [field]: value })
  return request(`${index}: ${hook} with ${field} ${JSON.stringify(value)}`, hook, text)
}

const PUBLISH = JSON.stringify(bodyOf.publish('a'))
const NO_TEXT = Buffer.concat([
  Buffer.from('{"username":"u1'),
  Buffer.from([0xff, 0xfe]),
  Buffer.from(PUBLISH.slice(15)),
])
const nested = (depth: number) => `{"username":"u1","x":${'['.repeat(depth)}${']'.repeat(depth)}}`

/** What is wrong as a whole. */
const SHAPES: readonly (() => Hostile)[] = [
  () => request('no JSON', 'auth_on_publish', PUBLISH.slice(0, random(PUBLISH.length))),
  () => request('JSON and more', 'auth_on_publish', `${PUBLISH}${pick(['x', '{}', ',', '\0'])}`),
  () => request('a byte order mark', 'auth_on_publish', `\ufeff${PUBLISH}`),
  () => request('another JSON value', 'auth_on_publish', pick(['null', '[]', '1', '"x"', 'true', `[${PUBLISH}]`])),
  () => request('bytes that are not UTF-8', 'auth_on_publish', NO_TEXT),
  () => request('deep nesting', 'auth_on_publish', nested(10 + random(400_000))),
  () => request('members of the prototype', 'auth_on_publish', `{"__proto__":${PUBLISH}}`),
  () =>
    request(
      'another hook',
      pick(['', 'on_message_drop', 'AUTH_ON_PUBLISH', 'constructor', '__proto__', '../x']),
      PUBLISH,
    ),
  () => request('the body of another hook', 'auth_on_subscribe', PUBLISH),
  () => ({ name: 'no hook', head: head({ 'Content-Length': PUBLISH.length }), body: Buffer.from(PUBLISH) }),
  () => ({
    name: 'another method',
    head: head(
      { 'vernemq-hook': 'auth_on_publish', 'Content-Length': PUBLISH.length },
      pick(['PUT', 'PATCH', 'DELETE']),
    ),
    body: Buffer.from(PUBLISH),
  }),
  () => ({
    name: 'no secret',
    head: head(
      { 'vernemq-hook': 'auth_on_publish', 'Content-Length': PUBLISH.length },
      'POST',
      pick(['/', '/x', `/${SECRET}x`, `/${SECRET.toUpperCase()}`, `/x/${SECRET}`, `/${SECRET}%2f`]),
    ),
    body: Buffer.from(PUBLISH),
  }),
  () => request('10 MB', 'auth_on_publish', Buffer.alloc(10_000_000, 0x20)),
  () => ({
    name: '10 MB in chunks',
    head: head({ 'vernemq-hook': 'auth_on_publish', 'Transfer-Encoding': 'chunked' }),
    body: Buffer.concat([Buffer.from('989680\r\n'), Buffer.alloc(10_000_000, 0x20), Buffer.from('\r\n0\r\n\r\n')]),
  }),
  () => ({
    name: 'a body that stays away',
    head: head({ 'vernemq-hook': 'auth_on_publish', 'Content-Length': PUBLISH.length }),
    body: Buffer.from(PUBLISH.slice(0, random(PUBLISH.length))),
    isSlow: true,
  }),
  () => request('a head that is too long', 'x'.repeat(20_000), PUBLISH),
  () => ({ name: 'no HTTP', head: '\x16\x03\x01\x02\0\x01', body: Buffer.alloc(0) }),
  () => ({
    name: 'two lengths',
    head: head({ 'vernemq-hook': 'auth_on_publish', 'Content-Length': 10, 'Transfer-Encoding': 'chunked' }),
    body: Buffer.from(PUBLISH),
  }),
]

const REQUESTS: readonly Hostile[] = Array.from({ length: 240 }, (_, index) =>
  index % 2 === 0 ? spoilt(index) : SHAPES[((index - 1) / 2) % SHAPES.length]!(),
)

/** Sends a request and resolves with all that comes back. */
async function send(port: number, { head, body }: Hostile): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('error', () => {})
  socket.on('data', data => {
    text += data
  })
  socket.write(head)
  socket.write(body)
  await new Promise(resolve => socket.once('close', resolve))
  return text
}

describe('hostile requests', () => {
  it('never grant, crash or hang, and others are answered meanwhile', async () => {
    const keys = new Map<string, ReturnType<typeof keyOf>>()
    for (const { body } of RECORDED) {
      const { client_id: clientId, mountpoint } = body as Record<string, string>
      keys.set(`${mountpoint} ${clientId}`, keyOf(clientId!, 'u1', mountpoint))
    }
    const { handler, errors, authorizer } = open(
      [[keyOf('c1'), recordOf(rules)], ...[...keys.values()].map(key => [key, recordOf(rules)] as const)],
      { pathSecret: SECRET, timeoutMs: 1_000 },
    )
    const server = createEndpointServer(handler)
    onTestFinished(() => void server.closeAllConnections())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const ask = async () => {
      const headers = { 'vernemq-hook': 'auth_on_publish' }
      const response = await fetch(`http://127.0.0.1:${port}/${SECRET}`, { method: 'POST', headers, body: PUBLISH })
      return response.text()
    }

    let isOver = false
    let answered = 0
    const others = (async () => {
      for (; !isOver; answered++) expect(await ask()).toBe('{"result":"ok"}')
    })()
    const left = [...REQUESTS]
    const attack = async () => {
      for (let hostile = left.pop(); hostile !== undefined; hostile = left.pop()) {
        const answer = await send(port, hostile)
        expect(answer, hostile.name).not.toMatch(/^HTTP\/1\.1 2/)
        expect(answer, hostile.name).not.toMatch(/"result"/)
      }
    }
    await Promise.all(Array.from({ length: 20 }, attack))
    isOver = true
    await others

    expect(REQUESTS.length).toBeGreaterThanOrEqual(200)
    expect(answered).toBeGreaterThan(20)
    expect(errors.length).toBeGreaterThan(100)
    expect(authorizer.stats()).toMatchObject({ sessions: 0, logins: { allowed: 0 } })
    expect(await ask()).toBe('{"result":"ok"}')
    server.close()
  })

  it('are also nothing to the function behind the faces', async () => {
    const { handler } = open([[keyOf('c1'), recordOf(rules)]])
    const bodies: unknown[] = [
      undefined,
      Symbol('x'),
      () => {},
      new Map(),
      1n,
      new Proxy({}, {}),
      JSON.parse(nested(50_000)),
    ]
    for (const hook of HOOKS.keys()) {
      for (const body of bodies) expect((await handler.handle(hook, body)).status).toBe(400)
    }
    const traps = {
      get: () => {
        throw new Error('trap')
      },
      getOwnPropertyDescriptor: () => {
        throw new Error('trap')
      },
    }
    expect((await handler.handle('auth_on_publish', new Proxy({}, traps))).status).toBe(500)
  })
})
