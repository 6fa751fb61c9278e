// Prints where the passwords of logins that ended in every way can still be found: in a dump of the heap of this process, in
// events, or in warnings. The passwords are bytes, which a dump leaves out.
import { createHash, randomBytes } from 'node:crypto'
import { json } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { getHeapSnapshot } from 'node:v8'
import { createAuthorizer, createMemoryStore, hashPassword } from 'mqtt-warden'

const control = randomBytes(16).toString('hex')

const secrets: Record<string, Buffer> = {}
const secret = (name: string): Uint8Array => {
  secrets[name] = Buffer.from(randomBytes(12).toString('hex'))
  return secrets[name]
}
const withText = <T>(bytes: Buffer, act: (text: string) => T): T => act(bytes.toString())

const right = secret('right')
const passhash = await withText(secrets.right!, password => hashPassword(password, { cost: 10 }))
const key = (clientId: string) => ({ mountpoint: '', clientId, username: 'u' })
const record = { passhash, publishAcl: [], subscribeAcl: [] }
const ids = Array.from({ length: 60 }, (_, n) => `c${n}`)
const store = createMemoryStore(ids.map(id => [key(id), record]))
const told: unknown[] = []

const options = { store, refusalCapMs: 0, connectTimeoutMs: 30_000, hashQueue: 4, throttle: { perPair: { points: 3 } } }
const authorizer = createAuthorizer({ ...options, rehash: { cost: 11 } })
for (const event of ['denied', 'error', 'takeover'] as const) authorizer.on(event, payload => void told.push(payload))
process.on('warning', warning => void told.push(warning))

const outcomes: Record<string, string> = {}
async function login(name: string, clientId: string, password: Uint8Array, address: string, signal?: AbortSignal) {
  const request = { clientId, username: 'u', password, address, ...(signal !== undefined && { signal }) }
  const outcome = await authorizer.authenticate(request)
  outcomes[name] = outcome.allow ? 'allowed' : outcome.reason
}

await login('right', 'c0', right, 'home')
await login('again', 'c0', right, 'home')
await login('wrong', 'c0', secret('wrong'), 'away')
await login('unknown', 'nobody', secret('unknown'), 'elsewhere')
for (const n of [1, 2, 3]) await login(`guess ${n}`, 'c0', secret(`guess ${n}`), 'away')
// All threads and places are taken, by as many from each address: the next one finds no place.
const clients = ids.slice(1, 41).map(() => new AbortController())
const flood = clients.map(({ signal }, n) => login(`flood ${n}`, `c${n + 1}`, secret(`flood ${n}`), `a${n}`, signal))
while (authorizer.stats().hashing.queued < 4) await turn()
for (const client of clients) client.abort()
await Promise.all(flood)
while (authorizer.stats().hashing.running > 0 || authorizer.stats().hashing.queued > 0) await turn()

const hasher = { passhashProblem: () => undefined, verify: () => new Promise<boolean>(() => {}) }
const stats = () => ({ running: 0, queued: 0 })
const hanging = createAuthorizer({
  ...options,
  connectTimeoutMs: 100,
  hasher: { ...hasher, stats, close: async () => {} },
})
const late = await hanging.authenticate({ clientId: 'c0', username: 'u', password: secret('late') })
outcomes.late = late.allow ? 'allowed' : late.reason
await hanging.close()
// What the engine itself still held of the last call is of this one then.
await login('after', 'c0', secret('after'), 'nowhere')

const dumps: Record<string, string> = { events: JSON.stringify(told) }
const keep = (stream: NodeJS.ReadableStream) =>
  json(stream).then(dump => (dump as { strings: string[] }).strings.join('\n'))
dumps.main = await keep(getHeapSnapshot())

const found: string[] = []
for (const [name, bytes] of Object.entries(secrets)) {
  withText(bytes, password => {
    const digests = ['md5', 'sha1', 'sha256', 'sha512'].flatMap(algorithm => {
      const digest = createHash(algorithm).update(password).digest()
      return [digest.toString('hex'), digest.toString('base64')]
    })
    for (const [place, dump] of Object.entries(dumps)) {
      if ([password, ...digests].some(trace => dump.includes(trace))) found.push(`${name} in ${place}`)
    }
  })
}
console.log(JSON.stringify({ outcomes, control: dumps.main.includes(control), found }))
process.exit(0)
