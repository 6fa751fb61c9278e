import { readFileSync } from 'node:fs'
import type { AedesOptions } from 'aedes'
import mqemitter from 'mqemitter'
import { type AclRecord, createMemoryStore, type RecordStore } from 'mqtt-warden'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BrokerNode, startNode } from '../../examples/node.js'
import { RecordedClient } from '../helpers/recorder.js'

/** What real clients of a real two-node VerneMQ 2.1.2 saw. */
const recorded = JSON.parse(readFileSync(new URL('../vectors/seed-scenarios.json', import.meta.url), 'utf8')) as {
  scenarios: { id: string; clients: Record<string, { events: [number, string][] }> }[]
}

const ONE = { clientId: '1528361231', username: '101', password: '38b3eff8baf56627478ec76a704e9b52' }
const TWO = { clientId: '1528361747', username: '102', password: 'ec8956637a99787bd197eacd77acce5e' }
const PASSHASHES = {
  101: '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6',
  102: '$2a$10$o2EnyzkqmHE532m3C.MREuyVNSKf0wIkHudKFjSk3OUFPlYLm8xBW',
}

type Rights = readonly [publish: string, subscribe: string]

let store: RecordStore
let a: BrokerNode
let b: BrokerNode
let clients: RecordedClient[]

beforeEach(async () => {
  store = createMemoryStore()
  const mq = mqemitter({ matchEmptyLevels: true }) as AedesOptions['mq']
  a = await startNode(store, { id: 'A', mq })
  b = await startNode(store, { id: 'B', mq })
  clients = []
})

afterEach(async () => {
  await Promise.all(clients.map(client => client.end()))
  await Promise.all([a.close(), b.close()])
  await store.close()
})

async function grant({ clientId, username }: typeof ONE, [publish, subscribe]: Rights): Promise<void> {
  const record: AclRecord = {
    passhash: PASSHASHES[username as unknown as 101],
    publishAcl: [{ pattern: publish }],
    subscribeAcl: [{ pattern: subscribe }],
  }
  await store.put({ mountpoint: '', clientId, username }, record)
}

function connect(node: BrokerNode, account: typeof ONE, options = {}): RecordedClient {
  const client = new RecordedClient(node.port, { ...account, ...options })
  clients.push(client)
  return client
}

/** The recorded events of a client, without what only tells how the socket was closed. */
function expected(id: string, client: string): string[] {
  const events = recorded.scenarios.find(scenario => scenario.id === id)!.clients[client]!.events
  return events.map(([, event]) => event).filter(isNeutral)
}

/** VerneMQ closes with RST, aedes with FIN; the first `>connect` is sent before anybody can listen. */
function isNeutral(event: string): boolean {
  return !event.includes('ECONNRESET')
}

/** Compares what was seen with the beginning of what was recorded: an endless loop is cut somewhere. */
function expectBeginning(client: RecordedClient, events: readonly string[], atLeast: number): void {
  const seen = client.events.filter(isNeutral)
  const length = Math.min(seen.length, events.length)
  expect(length).toBeGreaterThanOrEqual(atLeast)
  expect(seen.slice(0, length)).toEqual(events.slice(0, length))
}

async function bothSay(qos: 0 | 1): Promise<[RecordedClient, RecordedClient]> {
  const [one, two] = [connect(a, ONE), connect(b, TWO)]
  for (const client of [one, two]) {
    await client.seen('connect')
    client.subscribe(['say'], qos)
    await client.seen('subscribe-callback')
  }
  one.publish('say', 'hello from 1', qos)
  for (const client of [one, two]) await client.seen("message say 'hello from 1'")
  await one.seen('publish-callback')
  two.publish('say', 'hello from 2', qos)
  for (const client of [one, two]) await client.seen("message say 'hello from 2'")
  await two.seen('publish-callback')
  return [one, two]
}

describe('two aedes nodes do what a two-node VerneMQ was seen to do', () => {
  it.each([
    ['a', ['#', '#'], 0],
    ['d', ['say', 'say'], 0],
    ['a_qos1', ['#', '#'], 1],
  ] as const)('%s: both publish and hear say', async (id, rights, qos) => {
    await grant(ONE, rights)
    await grant(TWO, rights)
    const [one, two] = await bothSay(qos)
    expect(sorted(one.events, qos)).toEqual(sorted(expected(id, 'client1'), qos))
    expect(sorted(two.events, qos)).toEqual(sorted(expected(id, 'client2'), qos))
  })

  it.each([
    ['b', 0, 18],
    ['b_qos1', 1, 18],
  ] as const)('%s: a publisher that is refused at every connect comes back for ever', async (id, qos, atLeast) => {
    await grant(ONE, ['#', '#'])
    await grant(TWO, ['hello', '#'])
    const one = connect(a, ONE)
    await one.seen('connect')
    one.subscribe(['#'], qos)
    await one.seen('subscribe-callback')
    const two = connect(b, TWO)
    two.client.on('connect', () => two.publish('say', 'denied', qos))
    await two.seen('close', 5)
    expectBeginning(two, expected(id, 'client2'), atLeast)
    expect(one.events).toEqual(expected(id, 'client1'))
  })

  it('b2: one refused publish at QoS 0 closes once, then the client goes on', async () => {
    await grant(ONE, ['#', '#'])
    await grant(TWO, ['hello', '#'])
    const one = connect(a, ONE)
    await one.seen('connect')
    one.subscribe(['#'], 0)
    await one.seen('subscribe-callback')
    const two = connect(b, TWO)
    await two.seen('connect')
    two.publish('say', 'denied', 0)
    await two.seen('connect', 2)
    two.publish('hello', 'allowed', 0)
    await one.seen("message hello 'allowed'")
    expect(two.events.filter(isNeutral)).toEqual(expected('b2', 'client2'))
    expect(one.events).toEqual(expected('b2', 'client1'))
  })

  it('b2_qos1: one refused publish at QoS 1 is sent again after every reconnect', async () => {
    await grant(ONE, ['#', '#'])
    await grant(TWO, ['hello', '#'])
    const two = connect(b, TWO)
    await two.seen('connect')
    two.publish('say', 'denied', 1)
    await two.seen('close', 5)
    expectBeginning(two, expected('b2_qos1', 'client2'), 18)
  })

  it('c: a refused subscriber stays connected, hears nothing, and may still publish', async () => {
    await grant(ONE, ['#', 'hello'])
    await grant(TWO, ['#', '#'])
    const [one, two] = [connect(a, ONE), connect(b, TWO)]
    await one.seen('connect')
    await two.seen('connect')
    one.subscribe(['say'], 0)
    await one.seen('subscribe-callback')
    two.publish('say', 'nobody hears', 0)
    await two.seen('publish-callback')
    one.publish('say', 'client1 can still publish', 1)
    await one.seen('publish-callback')
    expect(one.events).toEqual(expected('c', 'client1'))
    expect(two.events).toEqual(expected('c', 'client2'))
  })

  it('c_two_filters: aedes refuses the one filter, where VerneMQ refuses the packet', async () => {
    await grant(ONE, ['#', 'hello'])
    await grant(TWO, ['#', '#'])
    const [one, two] = [connect(a, ONE), connect(b, TWO)]
    await one.seen('connect')
    await two.seen('connect')
    one.subscribe(['hello', 'say'], 0)
    await one.seen('<suback')
    two.publish('hello', 'to hello', 0)
    await one.seen('message hello')
    const suback = (events: readonly string[]) => events.find(event => event.startsWith('<suback'))
    expect(suback(expected('c_two_filters', 'client1'))).toBe('<suback 0x80,0x80')
    expect(suback(one.events)).toBe('<suback 0x00,0x80')
    expect(two.events).toEqual(expected('c_two_filters', 'client2'))
  })

  it('e: the same account on both nodes evicts itself for ever', async () => {
    await grant(ONE, ['#', '#'])
    const first = connect(a, ONE)
    await first.seen('connect')
    const second = connect(b, ONE)
    await Promise.all([first.seen('close', 3), second.seen('close', 3)])
    expectBeginning(first, expected('e', 'session@node1'), 16)
    expectBeginning(second, expected('e', 'session@node2'), 16)
  })

  it('e_sub: what is published meanwhile goes to the one session that is up, never to both', async () => {
    await grant(ONE, ['#', '#'])
    await grant(TWO, ['#', '#'])
    const twins = [connect(a, ONE), connect(b, ONE)]
    for (const twin of twins) twin.client.on('connect', () => twin.subscribe(['say'], 0))
    const talker = connect(b, TWO)
    await talker.seen('connect')
    const heardBy = ({ events }: RecordedClient) => events.filter(event => event.startsWith('message say'))
    const isOver = () => twins.every(twin => heardBy(twin).length >= 3 && comings(twin.events).length >= 4)
    for (let sent = 0; !isOver(); sent++) await talker.client.publishAsync('say', String(sent), { qos: 1 })
    const heard = twins.flatMap(heardBy)
    expect(new Set(heard).size).toBe(heard.length)
    for (const [at, twin] of twins.entries()) {
      const seen = comings(twin.events)
      const told = comings(expected('e_sub', `session@node${at + 1}`))
      expect(seen.slice(0, told.length)).toEqual(told.slice(0, seen.length))
    }
  })

  it('wrong_password: refused with return code 4, and not tried again', async () => {
    await grant(ONE, ['#', '#'])
    const one = connect(a, { ...ONE, password: 'wrong' })
    await one.seen('close')
    expect(one.events).toEqual(expected('wrong_password', 'client1'))
  })
})

/** When a client came and went. */
function comings(events: readonly string[]): string[] {
  return events.map(event => event.split(' ')[0]!).filter(event => event === 'connect' || event === 'close')
}

/** At QoS 1 a broker may deliver before it acknowledges: the order between the two is its own. */
function sorted(events: readonly string[], qos: 0 | 1): readonly string[] {
  return qos === 0 ? events : [...events].sort()
}
