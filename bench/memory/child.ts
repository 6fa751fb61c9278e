// One case of the memory bench, as a process of its own that can collect its garbage.
import { duplexPair } from 'node:stream'
import { Aedes } from 'aedes'
import { generate } from 'mqtt-packet'
import {
  type AclRecord,
  type Authorizer,
  createAuthorizer,
  encodeRecordKey,
  parseRecord,
  type RecordKey,
} from 'mqtt-warden'
import { protect } from 'mqtt-warden/aedes'
import { acceptAll, createSource } from '../accounts.js'
import { answer, childArgument } from '../child.js'
import type { MemoryCase } from './cases.js'

/** Clients that log in before memory is measured: code is optimised then, and what is bounded is full. */
const WARM_UP = 3_000

/** Kept alive while memory is measured. */
const held: unknown[] = []

/** Bytes in use once nothing more can be collected. */
async function used(): Promise<number> {
  for (let turn = 0; turn < 8; turn++) {
    gc?.()
    await new Promise(setImmediate)
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Bytes that `fill` adds, by the number of things it makes. */
async function bytesEach(count: number, fill: () => Promise<void> | void): Promise<number> {
  const before = await used()
  await fill()
  return ((await used()) - before) / count
}

function namesOf(count: number): string[] {
  // Decoded, as those of a broker are.
  return Array.from({ length: count }, (_, at) => Buffer.from(`device-${at}`).toString())
}

/** A source with one record, for every client. */
function roleSource(rules: number): ReturnType<typeof createSource> {
  const acl = Array.from({ length: rules }, (_, at) => ({ pattern: `fleet/%c/sensor${at}/#` }))
  const role: AclRecord = { passhash: '', publishAcl: acl, subscribeAcl: acl }
  return createSource(({ clientId }) => (clientId === '*' ? role : undefined))
}

async function logIn(authorizer: Authorizer, clientId: string): Promise<void> {
  const login = await authorizer.authenticate({ clientId, username: 'device', password: 'any' })
  if (!login.allow) throw new Error(`no session: ${login.reason}`)
}

/** Sessions of one role. The client ids are the broker's, which holds them in any case. */
async function sessions(count: number): Promise<number> {
  const authorizer = createAuthorizer({ store: roleSource(100), hasher: acceptAll })
  const names = namesOf(count + 1)
  held.push(authorizer, names)
  await logIn(authorizer, names[count]!)
  return bytesEach(count, async () => {
    for (const name of names.slice(0, count)) await logIn(authorizer, name)
  })
}

/** Clients of aedes, the client's end of each connection included; each has subscribed to one topic. */
async function clients(count: number, isProtected: boolean): Promise<number> {
  const broker = await Aedes.createBroker()
  const options = { store: roleSource(100), hasher: acceptAll, maxAbsent: WARM_UP }
  if (isProtected) protect(broker, createAuthorizer(options))
  const open = async (clientId: string): Promise<void> => {
    const [inside, outside] = duplexPair()
    held.push(outside)
    const subscribed = new Promise(resolve => broker.once('subscribe', resolve))
    broker.handle(inside)
    outside.resume()
    outside.write(
      generate({
        ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 60 },
        ...{ clientId, username: 'device', password: Buffer.from('any') },
      }),
    )
    const subscriptions = [{ topic: `fleet/${clientId}/sensor7/#`, qos: 1 as const }]
    outside.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }))
    await subscribed
  }
  held.push(broker)
  const names = namesOf(count + WARM_UP)
  for (const name of names.slice(count)) await open(name)
  return bytesEach(count, async () => {
    for (const name of names.slice(0, count)) await open(name)
  })
}

/** The text of a record with twenty rules, about a kilobyte. */
function recordText(at: number): string {
  const acl = Array.from({ length: 10 }, (_, rule) => ({ pattern: `org/site${at % 97}/dev${at}/sensor${rule}/#` }))
  const passhash = `$2a$10$${String(at).padStart(53, 'x')}`
  return JSON.stringify({ passhash, publish_acl: acl, subscribe_acl: acl })
}

function keyOf(at: number): RecordKey {
  return { mountpoint: '', clientId: `device-${at}`, username: 'plant' }
}

/** Records, as our cache holds them and as `JSON.parse` leaves them. */
function records({ count, sameRules, held: how }: MemoryCase & { fill: 'records' }): Promise<number> {
  const textOf = (at: number) => recordText(sameRules ? 1 : at)
  if (how === 'parsed') {
    const parsed = new Map<string, unknown>()
    held.push(parsed)
    return bytesEach(count, () => {
      for (let at = 0; at < count; at++) parsed.set(encodeRecordKey(keyOf(at)), JSON.parse(textOf(at)))
    })
  }
  const store = createSource(({ clientId }) => parseRecord(textOf(Number(clientId.slice('device-'.length)))))
  const authorizer = createAuthorizer({ store, hasher: acceptAll, maxRecords: count, wildcardClientId: false })
  held.push(authorizer)
  return bytesEach(count, async () => {
    for (let at = 0; at < count; at++) {
      await authorizer.access(keyOf(at))
      if (how === 'used') await useAll(authorizer, keyOf(at), parseRecord(textOf(at)))
    }
    const cached = authorizer.stats().records
    if (cached !== count) throw new Error(`${cached} records are held, not ${count}`)
  })
}

/** Lets every rule allow something. */
async function useAll(authorizer: Authorizer, key: RecordKey, { publishAcl, subscribeAcl }: AclRecord): Promise<void> {
  for (const { pattern } of publishAcl) await authorizer.authorizePublish(key, pattern.replace('#', 'value'))
  for (const { pattern } of subscribeAcl) await authorizer.authorizeSubscribe(key, pattern)
}

/** Decisions about names that were never seen before, allowed and refused. */
async function topics(count: number): Promise<number> {
  const authorizer = createAuthorizer({ store: roleSource(100), hasher: acceptAll })
  authorizer.on('denied', () => {})
  await logIn(authorizer, 'device-1')
  const [session] = authorizer.sessions()
  held.push(authorizer)
  const decide = (at: number) => {
    session!.authorizePublish(`fleet/device-1/sensor7/${at}`, { qos: 1 })
    session!.authorizeReceive(`fleet/device-1/sensor8/${at}`)
    session!.authorizeSubscribe(`fleet/device-1/sensor9/${at}/#`)
    session!.authorizePublish(`elsewhere/${at}`)
    session!.authorizeSubscribe(`elsewhere/${at}/+`)
  }
  // What code takes once it is optimised is not what is asked.
  for (let at = 0; at < count / 3; at++) decide(-at)
  return bytesEach(count, () => {
    for (let at = 0; at < count; at++) decide(at)
  })
}

const one = childArgument<MemoryCase>()

answer({
  measure(): Promise<number> {
    if (one.fill === 'sessions') return sessions(one.count)
    if (one.fill === 'clients') return clients(one.count, one.isProtected)
    if (one.fill === 'records') return records(one)
    return topics(one.count)
  },
})
