// A hasher of one's own: the accounts of a mosquitto password file, PBKDF2 hashes and all, move into records, and become
// bcrypt hashes one by one as their clients log in. Needs nothing running: npx tsx examples/custom-hasher.ts
import { pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import {
  type AclRecord,
  createAuthorizer,
  createBcryptHasher,
  createHasher,
  createMemoryStore,
  type PasswordHasher,
  type RecordKey,
} from 'mqtt-warden'

const derive = promisify(pbkdf2)

/** What mosquitto_passwd writes: `$7$<iterations>$<salt>$<hash>`, PBKDF2 with SHA-512, base64. */
const MOSQUITTO_HASH = /^\$7\$(\d{1,7})\$([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]{86}==)$/

/** More would let whoever can write records keep the threads busy. */
const MAX_ITERATIONS = 1_000_000

function mosquittoHashProblem(passhash: string): string | undefined {
  const [, iterations] = MOSQUITTO_HASH.exec(passhash) ?? []
  if (iterations === undefined) return 'must be a bcrypt hash, or a PBKDF2 hash of mosquitto ($7$)'
  return Number(iterations) >= 1 && Number(iterations) <= MAX_ITERATIONS ? undefined : 'has too many iterations'
}

async function verifyMosquitto(password: string, passhash: string): Promise<boolean> {
  const [, iterations, salt = '', hash = ''] = MOSQUITTO_HASH.exec(passhash) ?? []
  const wanted = Buffer.from(hash, 'base64')
  const derived = await derive(password, Buffer.from(salt, 'base64'), Number(iterations), wanted.length, 'sha512')
  return timingSafeEqual(derived, wanted)
}

/** Knows both kinds, each with a queue of its own. New hashes are bcrypt. */
function createMixedHasher(): PasswordHasher {
  const bcrypt = createBcryptHasher()
  const mosquitto = createHasher({ passhashProblem: mosquittoHashProblem, verify: verifyMosquitto })
  const hasherOf = (passhash: string) => (passhash.startsWith('$7$') ? mosquitto : bcrypt)
  return {
    ...bcrypt,
    passhashProblem: passhash => hasherOf(passhash).passhashProblem(passhash),
    verify: (password, passhash, limits) => hasherOf(passhash).verify(password, passhash, limits),
    stats: () => ({
      running: bcrypt.stats().running + mosquitto.stats().running,
      queued: bcrypt.stats().queued + mosquitto.stats().queued,
    }),
    close: async () => void (await Promise.all([bcrypt.close(), mosquitto.close()])),
  }
}

/** One record per line of the file. mosquitto knows no client ids here, so each is for all of them. */
function* readPasswordFile(text: string): Generator<readonly [RecordKey, AclRecord]> {
  for (const line of text.split('\n')) {
    const [username = '', passhash] = line.split(':')
    if (passhash === undefined) continue
    const acl = [{ pattern: 'devices/%u/#' }]
    yield [
      { mountpoint: '', clientId: '*', username },
      { passhash, publishAcl: acl, subscribeAcl: acl },
    ]
  }
}

// As mosquitto_passwd writes it; the password is "correct horse".
const PASSWORD_FILE = `pump-7:$7$101$p3m9cFL1619I+YTh$s+l0X3De85qz7WwNnLZK5r1b8maeWPuwCANHEK0P2h/2cTpZ5iBl4Efg+hEgtMY4Eo6yYxejTzxe66PdQ26npA==
`

const store = createMemoryStore(readPasswordFile(PASSWORD_FILE))
const authorizer = createAuthorizer({ store, hasher: createMixedHasher(), rehash: { cost: 10 } })
const kindOf = async () =>
  (await store.get({ mountpoint: '', clientId: '*', username: 'pump-7' }))?.passhash.slice(0, 4)
const connect = (password: string) => authorizer.authenticate({ clientId: 'any', username: 'pump-7', password })

console.log('stored:', await kindOf())
const wrong = await connect('wrong horse')
console.log('wrong password:', wrong.allow ? 'let in' : wrong.reason)

const written = new Promise<void>(resolve => store.watch(event => void (event.type === 'changed' && resolve())))
const right = await connect('correct horse')
console.log('right password:', right.allow ? 'let in' : right.reason)
await written
console.log('stored:', await kindOf())
console.log('still connected:', right.allow && right.session.authorizePublish('devices/pump-7/on').allow)

await authorizer.close()
await store.close()
