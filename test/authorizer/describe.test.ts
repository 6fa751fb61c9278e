import { createMemoryStore, type DeniedEvent, describeDenial } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { authorizerOf, connectOf, keyOf, logIn, recordOf } from './support.js'

const event: DeniedEvent = {
  at: 0,
  principal: { mountpoint: '', clientId: '1528361747', username: '102' },
  action: 'publish',
  topic: 'say',
  decision: { allow: false, reason: 'no_matching_rule', nearest: { pattern: 'hello' } },
  suppressed: 0,
}

describe('describeDenial', () => {
  it.each<[string, Partial<DeniedEvent>, string]>([
    ['a publish', {}, 'publish to "say": no_matching_rule, no rule allows it; nearest: "hello"'],
    [
      'a subscribe that is too wide for its QoS',
      {
        action: 'subscribe',
        topic: undefined as never,
        filter: 'say/#',
        decision: {
          allow: false,
          reason: 'no_matching_rule',
          nearest: { pattern: 'say/#', maxQos: 0 },
          missed: 'max_qos',
        },
      },
      'subscribe to "say/#": no_matching_rule, no rule allows it; nearest: "say/#" misses max_qos 0',
    ],
    [
      'a payload that is too large',
      {
        decision: {
          allow: false,
          reason: 'no_matching_rule',
          nearest: { pattern: 'say', maxPayloadSize: 5 },
          missed: 'max_payload_size',
        },
      },
      'publish to "say": no_matching_rule, no rule allows it; nearest: "say" misses max_payload_size 5',
    ],
    [
      'a payload of unknown size',
      {
        decision: {
          allow: false,
          reason: 'no_matching_rule',
          nearest: { pattern: 'say', maxPayloadSize: 5 },
          missed: 'payload_size_unknown',
        },
      },
      'publish to "say": no_matching_rule, no rule allows it; nearest: "say" misses max_payload_size 5, and the size is not known',
    ],
    [
      'a retained message',
      {
        decision: {
          allow: false,
          reason: 'no_matching_rule',
          nearest: { pattern: 'say', allowedRetain: false },
          missed: 'retain',
        },
      },
      'publish to "say": no_matching_rule, no rule allows it; nearest: "say" misses allowed_retain false',
    ],
    [
      'a delivery',
      { action: 'receive', decision: { allow: false, reason: 'revoked' } },
      'receive "say": revoked, the session was revoked',
    ],
    [
      'a login, with what the client is not told',
      {
        action: 'connect',
        topic: undefined as never,
        detail: 'wrong password',
        decision: { allow: false, reason: 'bad_credentials' },
      },
      'connect: bad_credentials, user name, client id or password is wrong; wrong password',
    ],
    [
      'a will',
      { action: 'connect', topic: 'gone' },
      'connect with a will on "gone": no_matching_rule, no rule allows it; nearest: "hello"',
    ],
    [
      'one of many',
      { suppressed: 31, decision: { allow: false, reason: 'too_deep' } },
      'publish to "say": too_deep, the topic has too many levels; 31 more refusals not shown',
    ],
  ])('says %s in one line', (_, change, expected) => {
    const { topic, ...rest } = { ...event, ...change }
    const given = topic === undefined ? rest : { ...rest, topic }
    expect(describeDenial(given)).toBe(`client "1528361747" (user "102") may not ${expected}`)
  })

  it('says where from', () => {
    expect(describeDenial({ ...event, address: '10.0.0.1' })).toContain('(user "102") from "10.0.0.1" may not')
  })

  it.each([
    ['a newline', 'x\nclient "root" may publish'],
    ['a carriage return', 'x\r\nGET /'],
    ['a quote', 'x" (user "root'],
    ['an escape sequence', 'x\u001b[2J'],
    ['U+0000', 'x\0y'],
    ['a lone surrogate', 'x\ud800'],
    ['64 KiB', 'x'.repeat(65_535)],
  ])('cannot be forged by %s in what the client chose', (_, text) => {
    const principal = { mountpoint: text, clientId: text, username: text }
    const line = describeDenial({ ...event, principal, topic: text, address: text })
    expect(line).not.toMatch(/[\u0000-\u001f\ud800-\udfff]/)
    expect(line.length).toBeLessThan(700)
    const parts = [...line.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([part]) => JSON.parse(part) as string)
    expect(parts.slice(0, 4).every(part => text.startsWith(part.replace(/…$/, '')))).toBe(true)
  })

  it.each([
    [undefined, '(undefined)'],
    [null, '(null)'],
    [7, '(number)'],
    [Object.create(null), '(object)'],
    [Symbol('x'), '(symbol)'],
  ])('takes what is no text for what it is: %s', (value, shown) => {
    const principal = { mountpoint: '', clientId: value as string, username: value as string }
    expect(describeDenial({ ...event, principal })).toContain(`client ${shown} (user ${shown}) may not`)
  })

  it('serves every refusal an authorizer reports, and no name grows a message', async () => {
    const lines: string[] = []
    const authorizer = authorizerOf(createMemoryStore([[keyOf('*'), recordOf()]]))
    authorizer.on('denied', denial => lines.push(describeDenial(denial)))
    const long = `c\n${'x'.repeat(60_000)}`
    const session = await logIn(authorizer, long)
    session.authorizePublish(long)
    session.authorizeSubscribe(`${long}/#`)
    session.authorizeReceive(long)
    await authorizer.authenticate(connectOf(long, { username: 'nobody' }))
    await authorizer.authenticate(connectOf(7 as never))
    await authorizer.authenticate(connectOf('d', { will: { topic: long } }))
    await authorizer.authorizePublish(keyOf(long, 'nobody'), long)
    expect(lines).toHaveLength(7)
    for (const line of lines) {
      expect(line.length).toBeLessThan(500)
      expect(line).not.toContain('\n')
    }
  })

  it('of a failure names the record without being forged or grown by its name', async () => {
    const store = Object.assign(createMemoryStore(), { getStored: () => Promise.reject(new Error('broken')) })
    const authorizer = authorizerOf(store)
    const places: string[] = []
    authorizer.on('error', ({ place }) => places.push(place))
    const long = `c\n${'x'.repeat(60_000)}`
    await authorizer.authenticate(connectOf(long))
    await authorizer.authorizePublish(keyOf(long), 'a')
    expect(places[0]).toBe(`login of ["","c\\n${'x'.repeat(61)}…","u"]`)
    expect(places[1]).toBe(`decision for ["","c\\n${'x'.repeat(61)}…","u"]`)
  })
})
