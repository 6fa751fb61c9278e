// Accounts in a file instead of Redis: a memory store holds what the file says, and whatever an editor changes there
// counts for connected clients at once. Needs nothing running: npx tsx examples/records-file.ts
import { once } from 'node:events'
import { unwatchFile, watchFile } from 'node:fs'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AclRecord,
  createAuthorizer,
  createMemoryStore,
  describeDenial,
  encodeRecordKey,
  hashPassword,
  parseRecord,
  type RecordKey,
  type RecordStore,
} from 'mqtt-warden'

/** One account of the file; its record is written as in Redis. */
interface Account extends Omit<RecordKey, 'mountpoint'> {
  readonly mountpoint?: string
  readonly record: unknown
}

/** Key and record of one account; a mistake is told with its place in the file. */
function read({ mountpoint = '', clientId, username, record }: Account, at: number): readonly [RecordKey, AclRecord] {
  try {
    return [{ mountpoint, clientId, username }, parseRecord(JSON.stringify(record))]
  } catch (error) {
    throw new Error(`account ${at + 1}: ${(error as Error).message}`)
  }
}

/** Makes a store hold what the file says. All of it is read before anything is changed: a mistake changes nothing. */
async function load(path: string, store: RecordStore): Promise<void> {
  const accounts = (JSON.parse(await readFile(path, 'utf8')) as readonly Account[]).map(read)
  const wanted = new Set(accounts.map(([key]) => encodeRecordKey(key)))
  for await (const key of store.scan()) if (!wanted.has(encodeRecordKey(key))) await store.delete(key)
  for (const [key, record] of accounts) await store.put(key, record)
}

/** Loads the file again whenever it changes, one time after the other. Returns what ends that. */
function follow(path: string, store: RecordStore, onMistake: (message: string) => void): () => void {
  let loading = Promise.resolve()
  const reload = (): void => {
    loading = loading.then(() => load(path, store)).catch((error: Error) => onMistake(error.message))
  }
  // Looks at the file twice a second, which also finds one that an editor has put in the place of the old one.
  watchFile(path, { interval: 500 }, reload)
  return () => unwatchFile(path, reload)
}

const folder = await mkdtemp(join(tmpdir(), 'accounts-'))
const path = join(folder, 'accounts.json')
const passhash = await hashPassword('correct horse', { cost: 8 })
// Put in its place whole, as editors do it.
const save = async (...accounts: readonly Account[]): Promise<void> => {
  await writeFile(`${path}.new`, JSON.stringify(accounts, undefined, 2))
  await rename(`${path}.new`, path)
}
const thermometer = (pattern: string): Account => {
  return {
    clientId: 'thermo-7',
    username: 'plant',
    record: { passhash, publish_acl: [{ pattern }], subscribe_acl: [] },
  }
}
await save(thermometer('plant/%c/temp'))

await using store = createMemoryStore()
await using authorizer = createAuthorizer({ store })
authorizer.on('denied', event => console.log(describeDenial(event)))
await load(path, store)
const mistakes = new EventTarget()
const unfollow = follow(path, store, message => {
  console.log(`the file is not used: ${message}`)
  mistakes.dispatchEvent(new Event('mistake'))
})

const login = await authorizer.authenticate({ clientId: 'thermo-7', username: 'plant', password: 'correct horse' })
if (!login.allow) throw new Error(login.reason)
const { session } = login
console.log(session.authorizePublish('plant/thermo-7/temp').allow) // true

const changed = new Promise<void>(resolve => session.onChange(() => resolve()))
await save(thermometer('plant/%c/humidity'))
await changed
console.log(session.authorizePublish('plant/thermo-7/temp').allow) // false, and one line says why

const mistaken = once(mistakes, 'mistake')
await save(thermometer('plant/#/temp'))
await mistaken // nothing has changed

const revoked = once(session.revoked, 'abort')
await save()
await revoked
console.log(session.revoked.reason) // deleted

unfollow()
await rm(folder, { recursive: true })
