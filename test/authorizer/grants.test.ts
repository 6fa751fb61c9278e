import fc from 'fast-check'
import {
  type Allowed,
  compileAcl,
  createMemoryStore,
  type Decision,
  type PublishFacts,
  type PublishRule,
} from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { Grants } from '../../src/authorizer/grants.js'
import { authorizerOf, keyOf, logIn, recordOf } from './support.js'

const PRINCIPAL = keyOf('c')

const topic = fc.constantFrom('a', 'a/b', 'c/b', '$SYS/a', 'a/+', `a/${'x'.repeat(300)}`)
const pattern = fc.constantFrom('a', 'a/+', 'a/#', '%c/b', '#', 'z')
const limits = fc.record(
  {
    maxQos: fc.constantFrom(0, 1, 2),
    maxPayloadSize: fc.constantFrom(0, 10),
    allowedRetain: fc.boolean(),
  },
  { requiredKeys: [] },
)
const rules = fc.array(
  fc.oneof(
    pattern.map(pattern => ({ pattern })),
    fc.tuple(pattern, limits).map(([pattern, limits]) => ({ pattern, ...limits })),
  ),
  { maxLength: 4 },
) as fc.Arbitrary<PublishRule[]>
/** Facts of a PUBLISH, some of which no PUBLISH can have. */
const facts = fc.option(
  fc.record(
    {
      qos: fc.constantFrom(0, 1, 2, 3, -1, '1', null),
      retain: fc.boolean(),
      payloadSize: fc.constantFrom(0, 10, 11, -1, Number.NaN, 268_435_456, 268_435_457, '5', null),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<PublishFacts>,
  { nil: undefined },
)
const question = fc.record({ action: fc.constantFrom('publish', 'receive'), topic, facts })

const aclOf = (rules: readonly PublishRule[]) => ({
  publishAcl: rules,
  subscribeAcl: rules.map(({ pattern }) => ({ pattern })),
})

async function openSession(acl: readonly PublishRule[]) {
  const recordWith = (acl: readonly PublishRule[]) => recordOf([], aclOf(acl))
  const store = createMemoryStore([[PRINCIPAL, recordWith(acl)]])
  const authorizer = authorizerOf(store)
  const session = await logIn(authorizer, 'c')
  return { session, change: (acl: readonly PublishRule[]) => store.put(PRINCIPAL, recordWith(acl)) }
}

describe('a session that is asked again and again', () => {
  it('answers every time as its rules do, whatever it was asked before', async () => {
    const { session, change } = await openSession([])
    await fc.assert(
      fc.asyncProperty(rules, fc.array(question, { minLength: 20, maxLength: 60 }), async (acl, questions) => {
        await change(acl)
        const compiled = compileAcl(session.acl)
        for (const { action, topic, facts } of questions) {
          const [answer, expected]: Decision[] =
            action === 'publish'
              ? [session.authorizePublish(topic, facts), compiled.authorizePublish(PRINCIPAL, topic, facts)]
              : [session.authorizeReceive(topic), compiled.authorizeReceive(PRINCIPAL, topic)]
          expect(answer).toEqual(expected)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('answers by new rules from the moment they are in force', async () => {
    const { session, change } = await openSession([{ pattern: 'a/#' }])
    const ask = () => [session.authorizePublish('a/b').allow, session.authorizeReceive('a/b').allow]
    expect([ask(), ask()]).toEqual([
      [true, true],
      [true, true],
    ])
    await change([{ pattern: 'z' }])
    expect(ask()).toEqual([false, false])
    await change([{ pattern: 'a/b' }])
    expect([ask(), ask()]).toEqual([
      [true, true],
      [true, true],
    ])
    session.close()
    expect(ask()).toEqual([false, false])
  })
})

describe('what a session remembers', () => {
  const compiled = compileAcl({ publishAcl: [{ pattern: '#' }], subscribeAcl: [{ pattern: '#' }] })
  const allowed = compiled.authorizeReceive(PRINCIPAL, 'a') as Allowed

  it('is one topic name to publish to and one to receive, the last', () => {
    const grants = new Grants()
    for (const topic of ['a', 'b']) {
      grants.published(topic, allowed, compiled)
      grants.received(topic, allowed)
    }
    expect([grants.publishing('a', {}), grants.receiving('a')]).toEqual([undefined, undefined])
    expect([grants.publishing('b', {}), grants.receiving('b')]).toEqual([allowed, allowed])
  })

  it('is no topic name that a client made long, which would be kept for as long as it is connected', () => {
    const grants = new Grants()
    const long = 'x'.repeat(257)
    grants.published(long, allowed, compiled)
    grants.received(long, allowed)
    expect([grants.publishing(long, {}), grants.receiving(long)]).toEqual([undefined, undefined])
  })

  it('is no PUBLISH that rules with limits allowed, since the next one may be larger', () => {
    const limited = compileAcl({ publishAcl: [{ pattern: '#', maxPayloadSize: 1 }], subscribeAcl: [] })
    const grants = new Grants()
    grants.published('a', allowed, limited)
    expect(grants.publishing('a', { payloadSize: 1 })).toBeUndefined()
  })
})
