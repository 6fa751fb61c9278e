import { describe, expect, it } from 'vitest'
import { type Acl, type CompileOptions, compileAcl } from '../../src/acl/index.js'
import { TopicInvalid } from '../../src/errors.js'
import { nobody } from './rules.js'

describe('compileAcl', () => {
  it('keeps what it was made from', () => {
    const acl: Acl = { publishAcl: [{ pattern: 'a' }], subscribeAcl: [] }
    expect(compileAcl(acl)).toMatchObject({ acl, semantics: 'strict', maxLevels: 128 })
    expect(compileAcl(acl).acl).toBe(acl)
    expect(compileAcl(acl, { semantics: 'vernemq', maxLevels: 12 })).toMatchObject({
      semantics: 'vernemq',
      maxLevels: 12,
    })
  })

  it('denies everything where lists are absent', () => {
    const acl = compileAcl({} as Acl)
    expect(acl.authorizePublish(nobody, 'a')).toEqual({ allow: false, reason: 'no_matching_rule' })
    expect(acl.authorizeSubscribe(nobody, 'a')).toEqual({ allow: false, reason: 'no_matching_rule' })
    expect(acl.authorizeReceive(nobody, 'a')).toEqual({ allow: false, reason: 'no_matching_rule' })
  })

  const patterns = [
    ['', 'empty', 'must not be empty'],
    ['a#', 'wildcard_not_alone', "'+' and '#' must fill a whole level"],
    ['a/#/b', 'hash_not_last', "'#' must be the last level"],
    ['a\0', 'null_character', 'must not contain U+0000'],
    ['\ud83d', 'lone_surrogate', 'must not contain an unpaired surrogate'],
    ['x'.repeat(65_536), 'too_long', 'must not be longer than 65,535 bytes of UTF-8'],
  ] as const
  for (const [pattern, problem, text] of patterns) {
    it(`refuses a pattern that is ${problem}, and says where`, () => {
      const bad = [{ pattern: 'a' }, { pattern }]
      for (const [place, acl] of [
        ['publishAcl', { publishAcl: bad, subscribeAcl: [] }],
        ['subscribeAcl', { publishAcl: [], subscribeAcl: bad }],
      ] as const) {
        const error = thrown(() => compileAcl(acl))
        expect(error).toBeInstanceOf(TopicInvalid)
        expect(error).toMatchObject({
          code: 'ERR_TOPIC_INVALID',
          problem,
          kind: 'filter',
          message: `${place}[1].pattern: ${text}`,
        })
      }
    })
  }

  const shapes: [acl: unknown, message: string][] = [
    [undefined, 'acl: must be an object'],
    [null, 'acl: must be an object'],
    ['#', 'acl: must be an object'],
    [{ publish_acl: [] }, 'publish_acl: use parseRecord() or publishAcl'],
    [{ subscribe_acl: [] }, 'subscribe_acl: use parseRecord() or subscribeAcl'],
    [{ publishAcl: {} }, 'publishAcl: must be an array'],
    [{ publishAcl: null }, 'publishAcl: must be an array'],
    [{ subscribeAcl: 'a' }, 'subscribeAcl: must be an array'],
    [{ publishAcl: ['a'] }, 'publishAcl[0]: must be an object'],
    [{ publishAcl: [null] }, 'publishAcl[0]: must be an object'],
    [{ publishAcl: Array(1) }, 'publishAcl[0]: must be an object'],
    [{ subscribeAcl: [{ pattern: 'a' }, {}] }, 'subscribeAcl[1].pattern: must be a string'],
    [{ publishAcl: [{ pattern: 7 }] }, 'publishAcl[0].pattern: must be a string'],
    [{ publishAcl: [{ pattern: 'a', maxQos: 3 }] }, 'publishAcl[0].maxQos: must be 0, 1 or 2'],
    [{ publishAcl: [{ pattern: 'a', maxQos: '1' }] }, 'publishAcl[0].maxQos: must be 0, 1 or 2'],
    [{ subscribeAcl: [{ pattern: 'a', maxQos: 1.5 }] }, 'subscribeAcl[0].maxQos: must be 0, 1 or 2'],
    [{ publishAcl: [{ pattern: 'a', maxQos: null }] }, 'publishAcl[0].maxQos: must be 0, 1 or 2'],
    [{ publishAcl: [{ pattern: 'a', max_qos: 1 }] }, 'publishAcl[0].max_qos: use maxQos'],
    [{ publishAcl: [{ pattern: 'a', allowed_retain: true }] }, 'publishAcl[0].allowed_retain: use allowedRetain'],
    [{ publishAcl: [{ pattern: 'a', maxqos: 1 }] }, 'publishAcl[0].maxqos: unknown member'],
    [{ publishAcl: [{ pattern: 'a', ['__proto__']: 1 }] }, 'publishAcl[0].__proto__: unknown member'],
    [{ publishAcl: [{ pattern: 'a', 'x\n"y"': 1 }] }, 'publishAcl[0]["x\\n\\"y\\""]: unknown member'],
    [{ subscribeAcl: [{ pattern: 'a', maxPayloadSize: 1 }] }, 'subscribeAcl[0].maxPayloadSize: unknown member'],
    [{ subscribeAcl: [{ pattern: 'a', allowedRetain: true }] }, 'subscribeAcl[0].allowedRetain: unknown member'],
    ...[-1, 0.5, Number.NaN, '1', null, 268_435_457].map((maxPayloadSize): [unknown, string] => [
      { publishAcl: [{ pattern: 'a', maxPayloadSize }] },
      'publishAcl[0].maxPayloadSize: must be an integer from 0 to 268435456',
    ]),
    [{ publishAcl: [{ pattern: 'a', allowedRetain: 'false' }] }, 'publishAcl[0].allowedRetain: must be true or false'],
    [{ publishAcl: [{ pattern: 'a', modifiers: null }] }, 'publishAcl[0].modifiers: must be an object'],
    [{ publishAcl: [{ pattern: 'a', modifiers: [] }] }, 'publishAcl[0].modifiers: must be an object'],
    [{ publishAcl: [{ pattern: 'a', modifiers: 'x' }] }, 'publishAcl[0].modifiers: must be an object'],
    [{ subscribeAcl: [{ pattern: 'a', modifiers: {} }] }, 'subscribeAcl[0].modifiers: must be an array'],
    [{ subscribeAcl: [{ pattern: 'a', modifiers: null }] }, 'subscribeAcl[0].modifiers: must be an array'],
  ]
  for (const [acl, message] of shapes) {
    it(`throws a TypeError: ${JSON.stringify(message)}`, () => {
      for (const semantics of ['strict', 'vernemq'] as const) {
        const error = thrown(() => compileAcl(acl as Acl, { semantics }))
        expect(error).toBeInstanceOf(TypeError)
        expect((error as Error).message).toBe(message)
      }
    })
  }

  const options: [options: object, message: string][] = [
    [{ semantics: 'lax' }, "\"semantics\" option must be 'strict' or 'vernemq'"],
    [{ semantics: null }, "\"semantics\" option must be 'strict' or 'vernemq'"],
    ...[0, -1, 1_025, 1.5, '10', null, Number.NaN, Number.POSITIVE_INFINITY].map((maxLevels): [object, string] => [
      { maxLevels },
      '"maxLevels" option must be an integer from 1 to 1024',
    ]),
    [{ unknownPayloadSize: 'maybe' }, "\"unknownPayloadSize\" option must be 'refuse' or 'allow'"],
  ]
  for (const [option, message] of options) {
    it(`throws a TypeError for ${JSON.stringify(option)}`, () => {
      const error = thrown(() => compileAcl({ publishAcl: [], subscribeAcl: [] }, option as CompileOptions))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toBe(message)
    })
  }
})

function thrown(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
