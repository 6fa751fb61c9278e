import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecordKeyInvalid } from '../../src/errors.js'
import { decodeRecordKey, encodeRecordKey, recordKeyWarnings } from '../../src/record/index.js'

const anyText = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom('\u2028', '\u2029', '"', '\\', ' ', '\ud800', '\udc00', '\x7f', '/'),
  ),
})

describe('encodeRecordKey', () => {
  it.each([
    [{ clientId: '1528361231', username: '101' }, '["","1528361231","101"]'],
    [{ mountpoint: 'mp', clientId: '*', username: '' }, '["mp","*",""]'],
    [{ clientId: 'a"b\\c', username: '\b\t\n\f\r' }, String.raw`["","a\"b\\c","\b\t\n\f\r"]`],
    [{ clientId: '\u0000\u001f\u007f', username: 'a/b' }, '["","\\u0000\\u001f\u007f","a/b"]'],
    [{ clientId: 'ü𝄞', username: '\u2028\u2029\u2027' }, '["","ü𝄞","\\u2028\\u2029\u2027"]'],
  ])('writes %j as VerneMQ would', (key, text) => {
    expect(encodeRecordKey(key)).toBe(text)
  })

  it.each([
    [{ clientId: 7, username: 'u' }, 'clientId'],
    [{ clientId: 'c', username: undefined }, 'username'],
    [{ mountpoint: null, clientId: 'c', username: 'u' }, 'mountpoint'],
  ])('refuses %j and names the part', (key, part) => {
    const encode = () => encodeRecordKey(key as never)
    expect(encode).toThrow(RecordKeyInvalid)
    expect(encode).toThrow(`${part}: must be a string`)
  })
})

describe('decodeRecordKey', () => {
  it('gives the frozen parts of a canonical key', () => {
    const key = decodeRecordKey('["mp","c","u"]')
    expect(key).toEqual({ mountpoint: 'mp', clientId: 'c', username: 'u' })
    expect(Object.isFrozen(key)).toBe(true)
  })

  it.each([
    ['nonsense', 'record key "nonsense" is not JSON'],
    ['', 'record key "" is not JSON'],
    [undefined, 'record key must be a string'],
    ['{}', 'record key "{}" is not an array of three strings: mountpoint, client id, username'],
    [
      '["","c"]',
      String.raw`record key "[\"\",\"c\"]" is not an array of three strings: mountpoint, client id, username`,
    ],
    [
      '["","c",7]',
      String.raw`record key "[\"\",\"c\",7]" is not an array of three strings: mountpoint, client id, username`,
    ],
    [
      '["","c","u","x"]',
      String.raw`record key "[\"\",\"c\",\"u\",\"x\"]" is not an array of three strings: mountpoint, client id, username`,
    ],
    ['["", "c","u"]', String.raw`record key "[\"\", \"c\",\"u\"]" is not canonical: write "[\"\",\"c\",\"u\"]"`],
    [
      '["","\\u0063","u"]',
      String.raw`record key "[\"\",\"\\u0063\",\"u\"]" is not canonical: write "[\"\",\"c\",\"u\"]"`,
    ],
    [
      '["","\u2028",""]',
      String.raw`record key "[\"\",\"\u2028\",\"\"]" is not canonical: write "[\"\",\"\\u2028\",\"\"]"`,
    ],
    [`["","c","u"]\n`, String.raw`record key "[\"\",\"c\",\"u\"]\n" is not canonical: write "[\"\",\"c\",\"u\"]"`],
  ])('refuses %j and says why', (text, message) => {
    const decode = () => decodeRecordKey(text as string)
    expect(decode).toThrow(RecordKeyInvalid)
    expect(decode).toThrow(expect.objectContaining({ code: 'ERR_RECORD_KEY_INVALID', message }))
  })

  it('quotes no more than 64 characters of a long key', () => {
    expect(() => decodeRecordKey('x'.repeat(1_000_000))).toThrow(`record key "${'x'.repeat(63)}…" is not JSON`)
  })

  it('is not overwhelmed by deep nesting', () => {
    expect(() => decodeRecordKey('['.repeat(1_000_000))).toThrow(RecordKeyInvalid)
  })
})

describe('the key codec', () => {
  it('gives back any three texts', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (mountpoint, clientId, username) => {
        const key = { mountpoint, clientId, username }
        expect(decodeRecordKey(encodeRecordKey(key))).toEqual(key)
      }),
    )
  })

  it('answers any text with the key it canonically spells, or RecordKeyInvalid', () => {
    const nearly = fc
      .tuple(anyText, fc.array(fc.oneof(anyText, fc.integer()), { maxLength: 4 }))
      .map(([space, parts]) => space + JSON.stringify(parts))
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json(), nearly), text => {
        let key: ReturnType<typeof decodeRecordKey>
        try {
          key = decodeRecordKey(text)
        } catch (error) {
          expect(error).toBeInstanceOf(RecordKeyInvalid)
          return
        }
        expect(encodeRecordKey(key)).toBe(text)
      }),
    )
  })
})

describe('recordKeyWarnings', () => {
  const spaced = (part: string) =>
    `${part} holds a space: VerneMQ splits its Redis command there and never finds the record`
  const broken = (part: string) => `${part} holds an unpaired surrogate: no MQTT client can send it`

  it.each([
    [{ mountpoint: '', clientId: 'c', username: 'u' }, []],
    [{ mountpoint: '', clientId: '*', username: '\t\n\u00a0😀' }, []],
    [
      { mountpoint: 'm p', clientId: ' ', username: 'u ' },
      [spaced('mountpoint'), spaced('clientId'), spaced('username')],
    ],
    [
      { mountpoint: '', clientId: '\ud83d', username: '\ude00 ' },
      [broken('clientId'), spaced('username'), broken('username')],
    ],
  ])('tells what is wrong with %j', (key, warnings) => {
    expect(recordKeyWarnings(key)).toEqual(warnings)
  })
})
