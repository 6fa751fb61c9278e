import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ParseOptions, parseRecord } from '../../src/record/index.js'
import { faultOf } from './fault.js'

const both = describe.each([{ semantics: 'strict' }, { semantics: 'vernemq' }] as const)

both('the bounds of parseRecord, $semantics', options => {
  const parse = (text: string | Uint8Array, more: ParseOptions = {}) => parseRecord(text, { ...options, ...more })
  const padded = (bytes: number) => `{"passhash":"${'h'.repeat(bytes - 15)}"}`

  it('accepts 1 MiB and refuses a byte more, as text and as bytes', () => {
    expect(parse(padded(1_048_576)).passhash).toHaveLength(1_048_561)
    for (const value of [padded(1_048_577), new TextEncoder().encode(padded(1_048_577))]) {
      expect(faultOf(() => parse(value))).toEqual({ path: '', message: 'record: is larger than 1048576 bytes' })
    }
  })

  it.each(['ü', '€', '😀', 'a'])('counts bytes of UTF-8, not characters: %s', character => {
    const text = `{"passhash":"${character.repeat(100)}"}`
    const maxBytes = new TextEncoder().encode(text).length
    expect(parse(text, { maxBytes }).passhash).toBe(character.repeat(100))
    expect(() => parse(text, { maxBytes: maxBytes - 1 })).toThrow(`record: is larger than ${maxBytes - 1} bytes`)
  })

  it('counts what an encoder writes, at the edges of every length', () => {
    const edges = ['a', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}']
    // Only read leniently, as the three bytes of U+FFFD.
    const halves = options.semantics === 'strict' ? [] : ['\ud800', '\udbff', '\udc00', '\udfff']
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...edges, ...halves), maxLength: 6 }), filler => {
        const text = `{"passhash":"h","x":"${filler}"}`
        const maxBytes = new TextEncoder().encode(text).length
        expect(parse(text, { maxBytes }).passhash).toBe('h')
        expect(() => parse(text, { maxBytes: maxBytes - 1 })).toThrow('is larger than')
      }),
    )
  })

  it('looks at the size before anything else', () => {
    expect(() => parse('['.repeat(2_000_000))).toThrow('record: is larger than 1048576 bytes')
  })

  it('counts the rules of both lists together', () => {
    const rules = (count: number) => `[${Array(count).fill('{"pattern":"a"}').join()}]`
    const record = (subscribe: number, publish: number) =>
      `{"passhash":"h","subscribe_acl":${rules(subscribe)},"publish_acl":${rules(publish)}}`
    expect(parse(record(5_000, 5_000)).publishAcl).toHaveLength(5_000)
    expect(faultOf(() => parse(record(5_000, 5_001)))).toEqual({
      path: 'publish_acl',
      message: 'publish_acl: holds more than 10000 rules, both lists together',
    })
    expect(parse(record(1, 1), { maxRules: 2 }).subscribeAcl).toHaveLength(1)
    expect(faultOf(() => parse(record(3, 0), { maxRules: 2 })).path).toBe('subscribe_acl')
  })

  it('accepts 32 levels of nesting and refuses one more', () => {
    const nested = (levels: number) => `{"passhash":"h","x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
    expect(parse(nested(32)).passhash).toBe('h')
    const path = `x${'[0]'.repeat(31)}`
    expect(faultOf(() => parse(nested(33)))).toEqual({ path, message: `${path}: is nested deeper than 32 levels` })
  })

  it('looks at the nesting before it looks at what is nested', () => {
    const fault = faultOf(() => parse(`{"publish_acl":${'['.repeat(32)}${']'.repeat(32)}}`))
    expect(fault.message).toBe(`publish_acl${'[0]'.repeat(31)}: is nested deeper than 32 levels`)
  })

  it.each(['[', '{"a":', '{"a":[', '[{},[', '["'])('is not overwhelmed by a megabyte of %s', text => {
    const fault = faultOf(() => parse(text.repeat(Math.floor(1_048_576 / text.length))))
    expect(fault.message).toMatch(/is nested deeper than 32 levels$|is not JSON$/)
  })

  it('keeps messages short whatever the names are', () => {
    const name = 'n'.repeat(500_000)
    const fault = faultOf(() =>
      parse(`{"passhash":"h","publish_acl":[{"pattern":"a","${name}":[1,{"${name}":1e999}]}]}`),
    )
    expect(fault.message.length).toBeLessThan(200)
    expect(fault.path).toBe(`publish_acl[0]["${'n'.repeat(63)}…"]`)
  })
})

both('parseRecord and names that objects inherit, $semantics', options => {
  const parse = (text: string) => parseRecord(text, options)

  it('keeps them as members of extra and changes no prototype', () => {
    const record = parse(
      '{"passhash":"h","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":"x"}',
    )
    expect(Object.keys(record.extra ?? {})).toEqual(['__proto__', 'constructor', 'toString'])
    expect(Object.getPrototypeOf(record.extra)).toBe(Object.prototype)
    expect(Object.getOwnPropertyDescriptor(record.extra, '__proto__')?.value).toEqual({ polluted: 1 })
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
    expect(record.extra).not.toHaveProperty('polluted')
  })

  it('keeps them inside extra, too', () => {
    const text = '{"a":[{"__proto__":{"polluted":1}}]}'
    const record = parse(`{"passhash":"h","x":${text}}`)
    expect(JSON.stringify(record.extra?.x)).toBe(text)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('takes no member of a record from a prototype', () => {
    expect(faultOf(() => parse('{"__proto__":{"passhash":"h"}}')).message).toBe('passhash: is missing')
    const record = parse('{"passhash":"h","__proto__":{"publish_acl":[{"pattern":"#"}]}}')
    expect(record.publishAcl).toEqual([])
  })
})
