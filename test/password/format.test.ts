import { describe, expect, it } from 'vitest'
import { decodePassword, parseBcryptHash } from '../../src/password/bcrypt.js'

const body = '.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'

describe('parseBcryptHash', () => {
  it.each([
    [`$2a$10$${body}`, { prefix: '$2a$', cost: 10 }],
    [`$2b$04$${body}`, { prefix: '$2b$', cost: 4 }],
    [`$2y$31$${body}`, { prefix: '$2y$', cost: 31 }],
  ])('reads variant and cost of %s', (passhash, hash) => {
    expect(parseBcryptHash(passhash)).toEqual(hash)
  })

  it.each([
    ['the empty text', '', 'must be a bcrypt hash of 60 characters'],
    ['the plain password', 'secret', 'must be a bcrypt hash of 60 characters'],
    ['a character missing', `$2a$10$${body.slice(1)}`, 'must be a bcrypt hash of 60 characters'],
    ['a character too many', `$2a$10$${body}A`, 'must be a bcrypt hash of 60 characters'],
    ['a trailing newline', `$2a$10$${body}\n`, 'must be a bcrypt hash of 60 characters'],
    ['a leading space', ` $2a$10$${body}`, 'must be a bcrypt hash of 60 characters'],
    ['a newline for the last character', `$2a$10$${body.slice(1)}\n`, 'must be a bcrypt hash of 60 characters'],
    ['a character outside the alphabet', `$2a$10$${body.slice(1)}=`, 'must be a bcrypt hash of 60 characters'],
    ['a cost of one digit', `$2a$4$${body}`, 'must be a bcrypt hash of 60 characters'],
    ['a cost that is no number', `$2a$1x$${body}`, 'must be a bcrypt hash of 60 characters'],
    ['an upper-case variant', `$2A$10$${body}`, 'must be a bcrypt hash of 60 characters'],
    ['another scheme', `$5$10$${body}`, 'must be a bcrypt hash of 60 characters'],
    ['cost 00', `$2a$00$${body}`, 'has cost 0, must be 4 to 31'],
    ['cost 03', `$2a$03$${body}`, 'has cost 3, must be 4 to 31'],
    ['cost 32', `$2a$32$${body}`, 'has cost 32, must be 4 to 31'],
    ['cost 99', `$2a$99$${body}`, 'has cost 99, must be 4 to 31'],
    ['the variant of 1997', `$2$10$${body}`, 'begins with "$2$", must be "$2a$", "$2b$" or "$2y$"'],
    ['the variant for faulty hashes', `$2x$10$${body}`, 'begins with "$2x$", must be "$2a$", "$2b$" or "$2y$"'],
    ['an unknown variant', `$2c$10$${body}`, 'begins with "$2c$", must be "$2a$", "$2b$" or "$2y$"'],
  ])('finds fault with %s', (_, passhash, problem) => {
    expect(parseBcryptHash(passhash)).toEqual({ problem })
  })
})

describe('decodePassword', () => {
  it.each([
    ['the empty text', ''],
    ['ASCII', 'correct horse'],
    ['a byte order mark', '\ufeffsecret'],
    ['text outside the basic plane', 'pass😀wörd'],
    ['U+FFFD written out', 'a\ufffd'],
  ])('takes %s as text and as bytes', (_, text) => {
    expect(decodePassword(text)).toBe(text)
    expect(decodePassword(new TextEncoder().encode(text))).toBe(text)
  })

  it('reads only the part of the buffer that a view shows', () => {
    expect(decodePassword(new TextEncoder().encode('xxsecretxx').subarray(2, 8))).toBe('secret')
  })

  it.each([
    ['bytes that are not UTF-8', Uint8Array.of(0xff, 0xfe, 0x80, 0x41)],
    ['bytes cut inside a character', new TextEncoder().encode('😀').subarray(0, 3)],
    ['the bytes of a surrogate', Uint8Array.of(0xed, 0xa0, 0x80)],
    ['a slash encoded in two bytes', Uint8Array.of(0xc0, 0xaf)],
    ['a lone surrogate', 'a\ud800'],
    ['U+0000 in text', 'a\0b'],
    ['U+0000 in bytes', Uint8Array.of(0x61, 0, 0x62)],
  ])('refuses %s', (_, password) => {
    expect(decodePassword(password)).toBeUndefined()
  })
})
