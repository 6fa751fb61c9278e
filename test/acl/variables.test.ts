import { describe, expect, it } from 'vitest'
import { compileAcl } from '../../src/acl/index.js'
import { asRule, nobody, publishing } from './rules.js'

describe('variables', () => {
  it('stand for mountpoint, client id and username where they fill a level', () => {
    const who = { mountpoint: 'mp', clientId: 'ci', username: 'un' }
    const acl = publishing('%m/%c/%u', 'x-%c', '%c%c')
    expect(acl.authorizePublish(who, 'mp/ci/un').allow).toBe(true)
    for (const topic of ['mp/ci/ci', '%m/%c/%u', 'x-ci', 'cici'])
      expect(acl.authorizePublish(who, topic).allow).toBe(false)
    expect(acl.authorizePublish(who, 'x-%c').allow).toBe(true)
    expect(acl.authorizePublish(who, '%c%c').allow).toBe(true)
  })

  for (const clientId of ['+', '#', 'a/b', '', '/', 'a\0', '\ud83d', '+/b']) {
    it(`make a rule match nothing for the client id ${JSON.stringify(clientId)}`, () => {
      const rules = ['dev/%c', 'dev/%c/#', '%c/#', '%c'].map(asRule)
      const acl = compileAcl({ publishAcl: rules, subscribeAcl: rules })
      const who = { ...nobody, clientId }
      for (const topic of ['dev/x', 'dev/a/b', 'dev/', 'dev//', '/', 'a/b', 'x', `dev/${clientId}`, `${clientId}/x`]) {
        expect(acl.authorizePublish(who, topic).allow).toBe(false)
        expect(acl.authorizeReceive(who, topic).allow).toBe(false)
        expect(acl.authorizeSubscribe(who, topic).allow).toBe(false)
      }
      for (const filter of ['dev/+', 'dev/#', '#', '+', '+/#', '/#', '/+']) {
        expect(acl.authorizeSubscribe(who, filter).allow).toBe(false)
      }
    })
  }

  it('are not substituted again', () => {
    const acl = publishing('dev/%c')
    const who = { mountpoint: '', clientId: '%u', username: 'root' }
    expect(acl.authorizePublish(who, 'dev/root').allow).toBe(false)
    expect(acl.authorizePublish(who, 'dev/%u').allow).toBe(true)
  })

  it('take ordinary text as it is', () => {
    const acl = publishing('dev/%c')
    for (const clientId of ['*', '__proto__', 'constructor', '😀', ' ', 'a.b[c]', '$SYS']) {
      expect(acl.authorizePublish({ ...nobody, clientId }, `dev/${clientId}`).allow).toBe(true)
      expect(acl.authorizePublish({ ...nobody, clientId }, 'dev/other').allow).toBe(false)
    }
  })

  it('match nothing where a principal lacks the text', () => {
    const acl = publishing('dev/%c', 'dev/%u', 'dev/%m')
    for (const topic of ['dev/undefined', 'dev/null', 'dev/']) {
      expect(acl.authorizePublish({ clientId: null } as never, topic).allow).toBe(false)
    }
  })
})
