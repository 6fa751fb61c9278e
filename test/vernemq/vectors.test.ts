import { describe, expect, it } from 'vitest'
import type { AclRecord, RecordKey } from '../../src/index.js'
import { HOOKS } from '../../src/vernemq/hooks.js'
import { asVernemqReads } from './as-vernemq.js'
import { type Entries, open, RECORDED, recordOf } from './support.js'

/** The account of every recorded call, with the rules given. */
function entriesOf(rules: Partial<AclRecord>): Entries {
  const passwords = new Map<string, string>()
  const keys = new Map<string, RecordKey>()
  for (const { body } of RECORDED) {
    const { username, client_id: clientId, mountpoint, password } = body as Record<string, string | null>
    if (typeof username !== 'string') continue
    const key = { mountpoint: mountpoint!, clientId: clientId!, username }
    keys.set(JSON.stringify(key), key)
    if (typeof password === 'string') passwords.set(JSON.stringify(key), password)
  }
  return [...keys].map(([text, key]) => [key, recordOf({ passhash: `plain:${passwords.get(text) ?? 'p1'}`, ...rules })])
}

const EVERYTHING = [{ pattern: '#' }, { pattern: '$SYS/#' }]
const MIXED: Partial<AclRecord> = {
  publishAcl: [{ pattern: 'p/#', maxQos: 1, maxPayloadSize: 5 }, { pattern: 'will/t' }],
  subscribeAcl: [{ pattern: 'a/b' }, { pattern: 'u/+', maxQos: 0 }, { pattern: 'off/#' }, { pattern: 'plain' }],
}

const asked = (body: Readonly<Record<string, unknown>>) =>
  ((body.topics ?? []) as (string | { topic: string })[]).map(item => (typeof item === 'string' ? item : item.topic))

/** Refused whatever the records say: no user name, no password, or bytes that VerneMQ could not pass on. */
const isHopeless = (hook: string, { username, password }: Readonly<Record<string, unknown>>) =>
  hook.startsWith('auth_on_') &&
  (username === null ||
    (hook.startsWith('auth_on_register') &&
      (password === null || (password as string).includes('\ufffd') || (password as string).includes('\0'))))

describe('recorded calls of a VerneMQ 2.1.2', () => {
  it('are there for nearly every hook', () => {
    expect(RECORDED).toHaveLength(148)
    const missing = [...HOOKS.keys()].filter(name => !RECORDED.some(({ hook }) => hook === name))
    expect(missing).toEqual(['on_unsubscribe_m5', 'on_auth_m5'])
  })

  it('are all granted where everything is allowed, save those that can never be', async () => {
    const { ask, denied } = open(entriesOf({ publishAcl: EVERYTHING, subscribeAcl: EVERYTHING }))
    for (const { hook, body, case: name } of RECORDED) {
      // base64encode=off is another endpoint's setting; see below.
      if (name.includes('base64encode')) continue
      const answer = await ask(hook, body)
      const what = `${hook} ${name}`
      if (isHopeless(hook, body)) {
        expect(asVernemqReads(hook, asked(body), { status: 200, body: answer }), what).toBe('refuse')
        expect(denied.pop()?.detail, what).toContain(hook)
      } else if (HOOKS.get(hook)!.role === 'note') expect(answer, what).toBe('{}')
      else expect(answer, what).toBe('{"result":"ok"}')
    }
  })

  it('are all refused where nothing is allowed, and each refusal is reported with its hook', async () => {
    const { ask, denied } = open(entriesOf({ passhash: 'plain:another' }))
    for (const { hook, body, case: name } of RECORDED) {
      denied.length = 0
      const reading = asVernemqReads(hook, asked(body), { status: 200, body: await ask(hook, body) })
      const { role } = HOOKS.get(hook)!
      const what = `${hook} ${name}`
      if (role === 'note') expect(reading, what).toBe('noted')
      else if (role === 'unsubscribe' || role === 'deliver') expect(reading, what).toBe('grant')
      else {
        expect(reading, what).toBe('refuse')
        expect(denied.length, what).toBe(Math.max(1, asked(body).length))
        for (const event of denied) expect(event.detail, what).toMatch(new RegExp(`^${hook}(: |$)`))
      }
    }
  })

  it.each(['never', 'v2.2'] as const)('are decided by mixed records, per-topic denial %s', async perTopicDenial => {
    const { ask } = open(entriesOf(MIXED), { perTopicDenial })
    const granted: Record<string, unknown> = {}
    for (const { hook, body, case: name } of RECORDED) {
      const { role } = HOOKS.get(hook)!
      if (name.includes('base64encode') || (role !== 'publish' && role !== 'subscribe')) continue
      const reading = asVernemqReads(hook, asked(body), { status: 200, body: await ask(hook, body) })
      expect(['crash', 'leak'], `${hook} ${name}`).not.toContain(reading)
      if (reading !== 'refuse') granted[`${hook} ${name}`] = reading
    }
    expect(granted).toEqual({
      'auth_on_publish v3.1.1 connect will text q1': 'grant',
      'auth_on_publish v3.1.1 publish text q0': 'grant',
      'auth_on_publish v3.1.1 publish text q1': 'grant',
      'auth_on_publish v3.1.1 publish retained q1': 'grant',
      'auth_on_publish v3.1.1 publish retained empty (clear)': 'grant',
      'auth_on_subscribe v3.1.1 subscribe a/b q0, c/+ q1, d/# q2': { granted: ['a/b'] },
      'auth_on_subscribe v3.1.1 unsubscribe': 'grant',
      'auth_on_subscribe v3.1.1 offline queue: subscribe, drop, publish by other, reconnect': 'grant',
      'auth_on_publish_m5 v5 publish text q1': 'grant',
      'auth_on_publish_m5 v5 publish binary ff00fe': 'grant',
      'auth_on_publish_m5 v5 publish empty payload': 'grant',
      'auth_on_publish_m5 v5 publish all properties': 'grant',
      ...(perTopicDenial === 'v2.2' && {
        'auth_on_subscribe_m5 v5 subscribe $share/g1/a/# and plain': { granted: ['plain'] },
      }),
    })
  })

  it('are measured in characters where the endpoint has base64encode=off, and never where bytes were lost', async () => {
    const calls = RECORDED.filter(({ case: name }) => name.includes('base64encode'))
    const rules = { publishAcl: [{ pattern: 'b/x', maxPayloadSize: 2 }] }
    const { handler, denied } = open([[{ mountpoint: '', clientId: 'b6', username: 'u' }, recordOf(rules)]], {
      base64encode: false,
    })
    const answers: Record<string, string> = {}
    for (const { hook, body } of calls) {
      denied.length = 0
      const { body: answer } = await handler.handle(hook, body)
      answers[`${hook} ${JSON.stringify(body.payload)}`] = answer + (denied[0]?.decision.missed ?? '')
    }
    expect(answers).toEqual({
      'auth_on_publish "text"': '{"result":{"error":"no_matching_rule, max_payload_size"}}max_payload_size',
      'auth_on_publish "�\\u0000�"':
        '{"result":{"error":"no_matching_rule, payload_size_unknown"}}payload_size_unknown',
      'auth_on_publish "é"': '{"result":"ok"}',
      'auth_on_publish_m5 "text"': '{"result":{"error":"no_matching_rule, max_payload_size"}}max_payload_size',
      'auth_on_publish_m5 "�\\u0000�"':
        '{"result":{"error":"no_matching_rule, payload_size_unknown"}}payload_size_unknown',
      'auth_on_publish_m5 "é"': '{"result":"ok"}',
      'auth_on_publish_m5 "x"': '{"result":"ok"}',
    })
  })
})
