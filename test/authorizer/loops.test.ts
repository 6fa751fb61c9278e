import {
  createMemoryStore,
  describeLoop,
  describeTakeover,
  type LoopEvent,
  type Session,
  type TakeoverEvent,
} from 'mqtt-warden'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { eventually } from '../helpers/eventually.js'
import { authorizerOf, connectOf, heard, idle, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

/** With a memory store, nodes count together; with the other, each for itself. */
const stores = [
  ['over a store with shared state', () => createMemoryStore([[keyOf('c'), recordOf()]])],
  ['over a store without', () => new SteppedStore([[keyOf('c'), recordOf()]])],
] as const

const take = async (authorizer: ReturnType<typeof authorizerOf>, address: string): Promise<Session> => {
  const outcome = await authorizer.authenticate(connectOf('c', { address }))
  if (!outcome.allow) throw new Error(outcome.reason)
  // What is counted together is told a few turns later.
  await idle()
  return outcome.session
}

describe.each(stores)('an account that is connected twice, %s', (_, store) => {
  it('is told once with both addresses, not at every takeover, and again when the time has come', async () => {
    const clock = createClock()
    const authorizer = authorizerOf(store(), { clock, loopThreshold: 4, loopWindowMs: 10_000 })
    const loops = heard(authorizer, 'loop')
    const takeovers = heard(authorizer, 'takeover')
    for (let turn = 0; turn < 12; turn++) {
      await take(authorizer, turn % 2 === 0 ? '10.0.0.1' : '10.0.0.2')
      clock.advance(500)
    }
    expect(loops).toHaveLength(1)
    expect(loops[0]).toMatchObject({ kind: 'takeover', principal: keyOf('c'), count: 4 })
    expect([...loops[0]!.addresses].sort()).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(takeovers.length).toBeLessThanOrEqual(4)
  })

  it('is no loop as long as it happens seldom', async () => {
    const clock = createClock()
    const authorizer = authorizerOf(store(), { clock, loopThreshold: 3, loopWindowMs: 1_000 })
    const loops = heard(authorizer, 'loop')
    const takeovers = heard(authorizer, 'takeover')
    for (let turn = 0; turn < 6; turn++) {
      await take(authorizer, '10.0.0.1')
      clock.advance(1_001)
    }
    expect(takeovers).toHaveLength(5)
    if (_ === 'over a store without') expect(loops).toEqual([])
  })
})

describe('an account that is connected twice', () => {
  it('is told again for as long as it goes on', async () => {
    const clock = createClock()
    const store = new SteppedStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(store, { clock, loopThreshold: 3, loopWindowMs: 1_000 })
    const loops = heard(authorizer, 'loop')
    for (let turn = 0; turn < 10; turn++) {
      await take(authorizer, '10.0.0.1')
      clock.advance(400)
    }
    expect(loops.map(({ count, sinceMs }) => ({ count, sinceMs }))).toEqual([
      { count: 3, sinceMs: 800 },
      { count: 6, sinceMs: 2_000 },
      { count: 9, sinceMs: 3_200 },
    ])
  })

  it('is recognised by nodes together, each of which sees half of it, and told by one', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf()]])
    const [one, two] = [authorizerOf(store), authorizerOf(store)]
    const loops = [...[one, two].map(node => heard(node, 'loop'))]
    for (let turn = 0; turn < 6; turn++) {
      const node = turn % 2 === 0 ? one : two
      const session = await take(node, `10.0.0.${1 + (turn % 2)}`)
      node.tookOver(session, { principal: session.principal, address: `10.0.0.${2 - (turn % 2)}`, isOwn: true })
      session.close()
      await idle()
    }
    await eventually(() => loops.flat().length > 0, 'it is told')
    expect(loops.flat()).toHaveLength(1)
    expect(loops.flat()[0]).toMatchObject({ kind: 'takeover', count: expect.any(Number) })
    expect([...loops.flat()[0]!.addresses].sort()).toEqual(['10.0.0.1', '10.0.0.2'])
  })

  it('is told again although the clock of the system was set back', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf()]]), { loopThreshold: 3 })
    const loops = heard(authorizer, 'loop')
    for (let turn = 0; turn < 4; turn++) await take(authorizer, '10.0.0.1')
    expect(loops).toHaveLength(1)
    const { now } = Date
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now.call(Date) - 3_600_000)
    onTestFinished(() => clock.mockRestore())
    for (let turn = 0; turn < 4; turn++) await take(authorizer, '10.0.0.1')
    expect(loops).toHaveLength(2)
  })

  it('is recognised alone when the shared state fails', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf()]])
    Object.assign(store.shared!, { swap: async () => Promise.reject(new Error('down')) })
    const authorizer = authorizerOf(store, { loopThreshold: 3 })
    const loops = heard(authorizer, 'loop')
    for (let turn = 0; turn < 6; turn++) await take(authorizer, '10.0.0.1')
    expect(loops).toHaveLength(1)
  })

  it('keeps its first connection where that is asked for, and its second is refused', async () => {
    const store = createMemoryStore([
      [keyOf('c'), recordOf()],
      [keyOf('*', 'fleet'), recordOf()],
      [keyOf('d'), recordOf()],
    ])
    const authorizer = authorizerOf(store, { takeover: 'first' })
    const first = await logIn(authorizer, 'c')
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('client_id_taken')
    expect(reasonOf(first.authorizePublish('a'))).toBeUndefined()
    first.close()
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBeUndefined()
    // A record of the client id goes before one of `*`, first or not.
    const held = await authorizer.authenticate(connectOf('d', { username: 'fleet' }))
    expect(reasonOf(held)).toBeUndefined()
    expect(reasonOf(await authorizer.authenticate(connectOf('d')))).toBeUndefined()
  })
})

describe.each(stores)('a client that comes back with what is refused, %s', (_, store) => {
  it('is told once with topic, reason and nearest rule; the single denials are left out meanwhile', async () => {
    const authorizer = authorizerOf(store(), { loopThreshold: 3 })
    const loops = heard(authorizer, 'loop')
    const denied = heard(authorizer, 'denied')
    for (let turn = 0; turn < 8; turn++) {
      const session = await logIn(authorizer, 'c')
      expect(reasonOf(session.authorizePublish('say'))).toBe('no_matching_rule')
      session.close()
      await idle()
    }
    expect(loops).toHaveLength(1)
    expect(loops[0]).toMatchObject({
      kind: 'refusal',
      action: 'publish',
      topic: 'say',
      count: 3,
      decision: { reason: 'no_matching_rule' },
    })
    expect(denied.length).toBeLessThanOrEqual(3)
    const session = await logIn(authorizer, 'c')
    session.authorizePublish('other')
    expect(denied.at(-1)).toMatchObject({ topic: 'other' })
  })
})

describe('a client that is refused', () => {
  it('again and again in one session is in no loop', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf()]]), { loopThreshold: 2 })
    const loops = heard(authorizer, 'loop')
    const denied = heard(authorizer, 'denied')
    const session = await logIn(authorizer, 'c')
    for (let turn = 0; turn < 10; turn++) session.authorizePublish('say')
    await idle()
    expect(loops).toEqual([])
    expect(denied).toHaveLength(10)
  })

  it('at its login is told as well, and so is every single attempt', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf()]]), { loopThreshold: 3 })
    const loops = heard(authorizer, 'loop')
    const denied = heard(authorizer, 'denied')
    for (let turn = 0; turn < 5; turn++) {
      await authorizer.authenticate(connectOf('c', { password: 'wrong', address: `10.0.0.${turn}` }))
    }
    expect(denied).toHaveLength(5)
    expect(loops).toMatchObject([{ kind: 'refusal', action: 'connect', count: 3 }])
  })
})

describe('an account that took its client id from another node', () => {
  it('is told each time, with what is known of the other, until it is a loop', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf()]]), { loopThreshold: 3 })
    const [takeovers, loops] = [heard(authorizer, 'takeover'), heard(authorizer, 'loop')]
    const former = { principal: keyOf('c'), address: 'x'.repeat(1_000), nodeId: '\n'.repeat(1_000), isOwn: true }
    for (let turn = 0; turn < 8; turn++) {
      const session = await take(authorizer, '10.0.0.2')
      authorizer.tookOver(session, turn === 0 ? former : { principal: keyOf('c'), isOwn: true })
      session.close()
      await idle()
    }
    expect(loops).toHaveLength(1)
    expect(takeovers.length).toBeLessThanOrEqual(3)
    const [own] = await authorizer.store.nodes!()
    expect(takeovers[0]).toMatchObject({
      former: keyOf('c'),
      addresses: ['x'.repeat(64), '10.0.0.2'],
      nodes: ['\n'.repeat(128), own!.id],
    })
    expect(takeovers[1]).toMatchObject({ addresses: [undefined, '10.0.0.2'], nodes: [undefined, own!.id] })
  })

  it('belongs to no loop where another account had it', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf()]]), { loopThreshold: 2 })
    const [takeovers, loops] = [heard(authorizer, 'takeover'), heard(authorizer, 'loop')]
    for (let turn = 0; turn < 4; turn++) {
      const session = await take(authorizer, '10.0.0.2')
      authorizer.tookOver(session, { principal: keyOf('c', 'other'), isOwn: false })
      session.close()
    }
    expect([takeovers.length, loops.length]).toEqual([4, 0])
  })
})

describe('describeTakeover', () => {
  it('says in one line who took over from whom, as far as that is known', () => {
    const principal = keyOf('c\n', 'u')
    const session = {} as Session
    const event = { at: 0, principal, session, to: session, former: principal }
    const text = (more: Pick<TakeoverEvent, 'addresses' | 'nodes'>, former = principal) =>
      describeTakeover({ ...event, former, ...more })
    expect(text({ addresses: ['10.0.0.1', '10.0.0.2'], nodes: ['a', 'b\n'] })).toBe(
      'client "c\\n" (user "u") from "10.0.0.2" on node "b\\n" took over from "10.0.0.1" on node "a"',
    )
    const unknown = { addresses: [undefined, undefined], nodes: [undefined, 'b'] } as const
    expect(text(unknown)).toBe('client "c\\n" (user "u") from node "b" took over')
    expect(text({ ...unknown, nodes: ['a', 'b'] }, keyOf('c\n', 'w\n'))).toBe(
      'client "c\\n" (user "u") from node "b" took over from user "w\\n", node "a"',
    )
  })
})

describe('describeLoop', () => {
  const principal = keyOf('c\n', 'u')
  const base = { at: 0, principal, count: 5, sinceMs: 4_200 }

  it('says in one line who evicts itself, and from where', () => {
    const event: LoopEvent = { ...base, kind: 'takeover', addresses: ['10.0.0.1', '10.0.0.2'] }
    expect(describeLoop(event)).toBe(
      'client "c\\n" (user "u") is connected twice and evicts itself: 5 times in 4.2 s, from "10.0.0.1" and "10.0.0.2"',
    )
  })

  it('says in one line what is refused again and again, and why', () => {
    const decision = { allow: false, reason: 'no_matching_rule', nearest: { pattern: 'hello' } } as const
    const event: LoopEvent = { ...base, kind: 'refusal', action: 'publish', topic: 'say', decision, addresses: [] }
    expect(describeLoop(event)).toBe(
      'client "c\\n" (user "u") comes back again and again, and may not publish to "say": no_matching_rule, ' +
        'no rule allows it; nearest: "hello"; 5 times in 4.2 s',
    )
  })
})
