import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { hashPassword } from '../../password/index.js'
import { encodeRecordKey } from '../../record/key.js'
import type { AclRecord, RecordKey } from '../../record/types.js'
import type { RedisStore } from '../../redis/index.js'
import { collect } from '../arguments.js'
import { CliFault, EXIT, readPassword, readRecord } from '../io.js'
import { addStoreOptions, openStore, type StoreArguments } from '../redis.js'
import { banOf } from './ban.js'
import { readStored } from './stored.js'
import { addWriteOptions, reportPut, WRITE_EXITS, type WriteArguments, writeOptions } from './write.js'

interface PutArguments extends StoreArguments, WriteArguments {
  readonly mountpoint: string
  readonly file?: string
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
  readonly password: boolean
  readonly passwordStdin: boolean
  /** Unix seconds, or `never`. */
  readonly expiresAt?: number | 'never'
}

/** What the flags of a record would say if it came from a file. */
const FLAGS = ['publish', 'subscribe', 'expiresAt'] as const

/** Adds `put`. */
export function addPutCommand(program: Command): void {
  const put = program
    .command('put')
    .summary('write a record')
    .description(
      'Writes a record: a whole one from a file, or by flags. Flags change what they name and leave the rest of a stored ' +
        'record as it is; a new record allows only what they name, and its password is asked for. The password is ' +
        'never an argument: it would show in the list of processes. Changes of somebody else that come in between are ' +
        'noticed, and nothing is written then.',
    )
    .argument('<client-id>', "client id; '*' for the record of every client without one of its own")
    .argument('<username>', 'username')
    .option('-m, --mountpoint <name>', 'mountpoint', '')
    .option('-f, --file <path>', 'file with the JSON of the record, or - for standard input')
    .option('-p, --publish <pattern>', 'may publish to this (repeatable; replaces all such rules)', collect)
    .option('-s, --subscribe <pattern>', 'may subscribe to this (repeatable; replaces all such rules)', collect)
    .option('--password', 'ask for a new password, without echo', false)
    .option('--password-stdin', 'read a new password from standard input', false)
    .option('--expires-at <time>', 'end of the record: a date as 2030-01-31T12:00:00Z, Unix seconds, or "never"', time)
  addWriteOptions(addStoreOptions(put))
    .addHelpText(
      'after',
      `
${WRITE_EXITS}

Examples:
  $ mqtt-warden put thermo-7 plant -p 'plant/%c/temp' -s 'plant/%c/set' --redis redis://127.0.0.1
  $ mqtt-warden put thermo-7 plant -p 'plant/%c/#' --receipt
  $ mqtt-warden get thermo-7 plant > r.json && $EDITOR r.json && mqtt-warden put thermo-7 plant -f r.json`,
    )
    .action(run)
}

async function run(clientId: string, username: string, options: PutArguments): Promise<void> {
  const key = { mountpoint: options.mountpoint, clientId, username }
  await using store = await openStore(options)
  const { record, ifMatch } =
    options.file === undefined ? await fromFlags(store, key, options) : await fromFile(options)
  const conditions = { ...(ifMatch !== undefined && { ifMatch }), ...writeOptions(options) }
  await reportPut('written', { store, key, record, conditions }, options.json)
}

/** A record, and the digest of the one that it was made from. */
interface Draft {
  readonly record: AclRecord
  readonly ifMatch?: string | null
}

async function fromFile(options: PutArguments): Promise<Draft> {
  if (FLAGS.some(name => options[name] !== undefined) || options.password || options.passwordStdin) {
    throw new CliFault('--file holds the whole record: no other option may say what is in it')
  }
  return { record: await readRecord(options.file!, options.semantics) }
}

async function fromFlags(store: RedisStore, key: RecordKey, options: PutArguments): Promise<Draft> {
  const stored = await readStored(store, key)
  if (stored !== undefined && banOf(stored.record) !== undefined) {
    throw new CliFault(`${encodeRecordKey(key)} is banned: lift that first with "ban --lift"`, EXIT.refused)
  }
  const passhash = await newPasshash(options, stored === undefined)
  const { expiresAt: before, ...base } = stored?.record ?? { passhash: '', publishAcl: [], subscribeAcl: [] }
  const { publish, subscribe, expiresAt = before ?? 'never' } = options
  const record = {
    ...base,
    ...(passhash !== undefined && { passhash }),
    ...(publish !== undefined && { publishAcl: publish.map(pattern => ({ pattern })) }),
    ...(subscribe !== undefined && { subscribeAcl: subscribe.map(pattern => ({ pattern })) }),
    ...(expiresAt !== 'never' && { expiresAt }),
  }
  return { record, ifMatch: stored?.digest ?? null }
}

/** Hash of a new password, where one is wanted. */
async function newPasshash({ password, passwordStdin }: PutArguments, isNew: boolean): Promise<string | undefined> {
  if (!isNew && !password && !passwordStdin) return undefined
  if (!passwordStdin && !process.stdin.isTTY) {
    throw new CliFault(
      `${isNew ? 'a new record needs a password' : 'there is no terminal to ask at'}: use --password-stdin`,
    )
  }
  const text = await readPassword({ confirm: true })
  if (text === '') throw new CliFault('the password is empty')
  return hashPassword(text)
}

function time(text: string): number | 'never' {
  if (text === 'never') return text
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.floor(Date.parse(text) / 1_000)
  if (!Number.isSafeInteger(seconds) || seconds < 0)
    throw new InvalidArgumentError('must be a date, Unix seconds, or "never"')
  return seconds
}
