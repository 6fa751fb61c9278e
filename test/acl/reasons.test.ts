import { describe, expect, it } from 'vitest'
import { type DenyReason, reasons } from '../../src/acl/index.js'

/** Spelt out once more, so that losing or adding a reason is noticed. */
const ALL: readonly DenyReason[] = [
  'bad_credentials',
  'anonymous_refused',
  'client_id_refused',
  'client_id_taken',
  'record_invalid',
  'store_unavailable',
  'busy',
  'deadline',
  'throttled',
  'expired',
  'revoked',
  'closed',
  'topic_invalid',
  'filter_invalid',
  'too_deep',
  'no_matching_rule',
  'shared_subscription_unsupported',
  'modifiers_unsupported',
]

/** Codes that refuse, by the sections of MQTT 5 on each packet. */
const CODES = {
  // 3.2.2.2
  CONNACK: [
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
    0x9d, 0x9f,
  ],
  // 3.4.2.1 and 3.5.2.1
  PUBACK: [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  // 3.9.3
  SUBACK: [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
  // 3.14.2.1, sent by a server
  DISCONNECT: [
    0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ],
}

const LOGIN_ONLY: readonly DenyReason[] = [
  'bad_credentials',
  'anonymous_refused',
  'client_id_refused',
  'client_id_taken',
  'throttled',
]
const PUBLISH_ONLY: readonly DenyReason[] = ['topic_invalid']
const SUBSCRIBE_ONLY: readonly DenyReason[] = ['filter_invalid', 'shared_subscription_unsupported']

describe('reasons', () => {
  it('has a row for every reason, and no other', () => {
    expect(Object.keys(reasons)).toEqual(ALL)
  })

  for (const reason of ALL) {
    it(`gives ${reason} codes that its packets may carry, and words`, () => {
      const { connack5, connack3, code5, text } = reasons[reason]
      expect(CODES.CONNACK).toContain(connack5)
      expect([2, 3, 4, 5]).toContain(connack3)
      expect(CODES.DISCONNECT).toContain(code5)
      if (![...LOGIN_ONLY, ...SUBSCRIBE_ONLY].includes(reason)) expect(CODES.PUBACK).toContain(code5)
      if (![...LOGIN_ONLY, ...PUBLISH_ONLY].includes(reason)) expect(CODES.SUBACK).toContain(code5)
      expect(text).toMatch(/^[a-z][^.\n]+$/)
      expect(Object.isFrozen(reasons[reason])).toBe(true)
    })
  }

  it('does not tell unknown users from wrong passwords', () => {
    expect(ALL.filter(reason => reasons[reason].connack3 === 4)).toEqual(['bad_credentials', 'anonymous_refused'])
    expect(reasons.bad_credentials.connack5).toBe(reasons.anonymous_refused.connack5)
  })
})
