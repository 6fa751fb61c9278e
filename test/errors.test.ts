import { describe, expect, it } from 'vitest'
import { quote } from '../src/errors.js'

describe('quote', () => {
  it.each([
    ['a\nb', '"a\\nb"'],
    ['a"b', '"a\\"b"'],
    ['\u001b[2J', '"\\u001b[2J"'],
    ['\u007f\u009b2J', '"\\u007f\\u009b2J"'],
    ['a\u2028b\u2029c', '"a\\u2028b\\u2029c"'],
    ['\u202egnp.exe', '"\\u202egnp.exe"'],
    ['\u200e\u200f\u061c\u2066\u2069', '"\\u200e\\u200f\\u061c\\u2066\\u2069"'],
    ['plant/grün/🌱', '"plant/grün/🌱"'],
  ])('writes %j so that it can neither forge a line nor steer a terminal', (text, quoted) => {
    expect(quote(text)).toBe(quoted)
  })

  it('cuts at 64 characters', () => {
    expect(quote('x'.repeat(64))).toBe(`"${'x'.repeat(64)}"`)
    expect(quote('x'.repeat(65))).toBe(`"${'x'.repeat(63)}…"`)
  })
})
