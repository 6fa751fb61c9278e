// Prints which secrets a dump of this process's heap shows after the cache was told a password. The password is bytes,
// which a dump leaves out, except while `withPassword` runs.
import { createHash, randomBytes } from 'node:crypto'
import { json } from 'node:stream/consumers'
import { getHeapSnapshot } from 'node:v8'
import { createFingerprint, createVerifiedPasswords } from '../../src/password/verified.js'

const key = '["","1528361231","101"]'
const passhash = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'
const secret = randomBytes(16)
const control = randomBytes(16).toString('hex')

function withPassword<T>(action: (password: string) => T): T {
  return action(secret.toString('hex'))
}

/** A dump shows a text up to the first U+0000. */
function shown(text: string): string {
  return text.split('\0', 1)[0] ?? ''
}

const verified = createVerifiedPasswords()
const nameOf = createFingerprint()
withPassword(password => verified.add(nameOf(key, passhash, password)))
const { strings } = (await json(getHeapSnapshot())) as { strings: string[] }
const dump = strings.join('\n')

const found = withPassword(password => {
  const preimages = [password, key + password, passhash + password, key + passhash + password, password + passhash]
  const traces = preimages.flatMap(preimage =>
    ['md5', 'sha1', 'sha256', 'sha512'].flatMap(algorithm => {
      const digest = createHash(algorithm).update(preimage).digest()
      return [digest.toString('hex'), digest.toString('base64'), shown(digest.toString('latin1'))]
    }),
  )
  return [password, ...traces].filter(trace => trace.length > 5 && dump.includes(trace))
})
const remembered = withPassword(password => verified.find(nameOf(key, passhash, password)) !== undefined)
console.log(JSON.stringify({ remembered, control: dump.includes(control), found }))
