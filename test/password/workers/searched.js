import { randomBytes } from 'node:crypto'
import { json } from 'node:stream/consumers'
import { getHeapSnapshot } from 'node:v8'
import { computeHash as compute } from '../../../dist/hash-worker.js'

const control = randomBytes(16).toString('hex')

// Hashes; but at `search <hex>` answers which of the secret, given as bytes so that the question does not hold it, and a text
// that is surely kept a dump of this thread's heap shows.
export async function computeHash({ password, salt }) {
  if (!password.startsWith('search ')) return compute({ password, salt })
  const secret = Buffer.from(password.slice('search '.length), 'hex')
  const { strings } = await json(getHeapSnapshot())
  const dump = strings.join('\n')
  return JSON.stringify({ control: dump.includes(control), secret: dump.includes(secret.toString()) })
}
