// A broker of the benches, as a process of its own: aedes with one way of judging its clients, or none.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
import bcrypt from 'bcryptjs'
import matchLevels from 'mqtt-match'
import { createAuthorizer, type RecordKey } from 'mqtt-warden'
import { protect } from 'mqtt-warden/aedes'
import { acceptAll, createSource } from '../accounts.js'
import { answer, childArgument } from '../child.js'
import { LoopWatch } from './loop-watch.js'
import type { BrokerKind } from './types.js'

const kind = childArgument<BrokerKind>()
const broker = await Aedes.createBroker()
const server = createServer(broker.handle)
const watch = new LoopWatch()

/** `rules` patterns, the last of which lets the clients of the bench through. */
function patternsOf(rules: number): string[] {
  return Array.from({ length: rules }, (_, at) => (at === rules - 1 ? 'load/+/temp/#' : `org/site${at}/+/temp/#`))
}

/** Rules as our authorizer judges them; passwords are not the question. */
function protectByRules(rules: number): void {
  const acl = patternsOf(rules).map(pattern => ({ pattern }))
  const store = createSource(() => ({ passhash: '', publishAcl: acl, subscribeAcl: acl }))
  protect(broker, createAuthorizer({ store, hasher: acceptAll }))
}

/** Rules as most brokers written by hand judge them: one after another, for every message and every delivery. */
function loopOverRules(rules: number): void {
  const patterns = patternsOf(rules)
  const isAllowed = (topic: string) => {
    for (const pattern of patterns) if (matchLevels(pattern, topic)) return true
    return false
  }
  broker.authenticate = (_client, _username, _password, callback) => callback(null, true)
  broker.authorizePublish = (_client, { topic }, callback) => callback(isAllowed(topic) ? null : new Error('denied'))
  broker.authorizeSubscribe = (_client, subscription, callback) =>
    callback(null, isAllowed(subscription.topic) ? subscription : null)
  broker.authorizeForward = (_client, packet) => (isAllowed(packet.topic) ? packet : undefined)
}

/** Passwords as our authorizer judges them by default: an account for every client, with the hash of its username. */
function protectByPassword(passhashes: Readonly<Record<string, string>>): void {
  const acl = [{ pattern: 'load/%c/#' }]
  const recordOf = ({ clientId, username }: RecordKey) => {
    const passhash = clientId === '*' ? undefined : passhashes[username]
    return passhash === undefined ? undefined : { passhash, publishAcl: acl, subscribeAcl: acl }
  }
  protect(broker, createAuthorizer({ store: createSource(recordOf) }))
}

/** Passwords as most brokers written by hand judge them. */
function comparePasswords(passhashes: Readonly<Record<string, string>>): void {
  broker.authenticate = (_client, username, password, callback) => {
    const passhash = passhashes[String(username)] ?? ''
    bcrypt.compare(String(password), passhash).then(isRight => callback(null, isRight), callback as () => void)
  }
}

if (kind.auth === 'warden rules') protectByRules(kind.rules)
if (kind.auth === 'loop') loopOverRules(kind.rules)
if (kind.auth === 'warden passwords') protectByPassword(kind.passhashes)
if (kind.auth === 'bcryptjs') comparePasswords(kind.passhashes)

answer({
  async listen(): Promise<number> {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 })
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
  /** Microseconds of processor time, of all threads, since the process began. */
  cpu(): number {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  clients: () => broker.connectedClients,
  watch: () => watch.start(),
  delays: () => watch.stop(),
})
