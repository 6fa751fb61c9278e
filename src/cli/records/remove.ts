import type { Command } from 'commander'
import { RecordInvalid } from '../../errors.js'
import { encodeRecordKey } from '../../record/key.js'
import type { AclRecord, RecordKey } from '../../record/types.js'
import type { RedisStore } from '../../redis/index.js'
import { CliFault, EXIT, warnLine } from '../io.js'
import { addStoreOptions, openStore, type StoreArguments } from '../redis.js'
import { type Ban, bannedRecord, banOf } from './ban.js'
import { readStored } from './stored.js'
import { addWriteOptions, report, reportPut, WRITE_EXITS, type WriteArguments, writeOptions } from './write.js'

interface RemoveArguments extends StoreArguments, WriteArguments {
  readonly mountpoint: string
}

interface BanArguments extends RemoveArguments {
  readonly lift: boolean
}

/** Adds `delete` and `ban`. */
export function addRemoveCommands(program: Command): void {
  const remove = program
    .command('delete')
    .summary('remove a record')
    .description(
      "Removes a record and ends its sessions. A record of a single client id may have hidden the one of '*': that one " +
        'then decides, and the command says so. To keep one device out for good, use "ban".',
    )
    .argument('<client-id>', "client id; '*' for the record of every client without one of its own")
    .argument('<username>', 'username')
    .option('-m, --mountpoint <name>', 'mountpoint', '')
  addWriteOptions(addStoreOptions(remove)).addHelpText('after', `\n${WRITE_EXITS}`).action(runDelete)

  const ban = program
    .command('ban')
    .summary('keep one device out')
    .description(
      "Keeps one device out, also where the record of '*' would let it in: writes a record of its own that allows nothing " +
        'and has a password that nobody knows. Its session ends. What the record was before is kept in it, for --lift.',
    )
    .argument('<client-id>', 'client id')
    .argument('<username>', 'username')
    .option('-m, --mountpoint <name>', 'mountpoint', '')
    .option('--lift', 'let the device in again: put back what was there before', false)
  addWriteOptions(addStoreOptions(ban)).addHelpText('after', `\n${WRITE_EXITS}`).action(runBan)
}

async function runDelete(clientId: string, username: string, options: RemoveArguments): Promise<void> {
  const key = { mountpoint: options.mountpoint, clientId, username }
  await using store = await openStore(options)
  await remove(store, key, options)
}

async function remove(store: RedisStore, key: RecordKey, options: RemoveArguments): Promise<void> {
  const written = store.delete(key, writeOptions(options)).then(result => {
    if (!result.replaced) throw new CliFault(`there is no record ${encodeRecordKey(key)}`, EXIT.refused)
    return result
  })
  await report({ done: 'deleted', key, store, digest: null, write: written }, options.json)
  const shared = { ...key, clientId: '*' }
  if (key.clientId !== '*' && (await exists(store, shared))) {
    warnLine(`warning: the record ${encodeRecordKey(shared)} decides for this client id now`)
  }
}

async function runBan(clientId: string, username: string, options: BanArguments): Promise<void> {
  if (clientId === '*') throw new CliFault("'*' is no device: delete its record to keep all of them out")
  const key = { mountpoint: options.mountpoint, clientId, username }
  await using store = await openStore(options)
  const stored = await readStored(store, key)
  const ban = stored && banOf(stored.record)
  const conditions: RemoveArguments = { ...options, ifMatch: options.ifMatch ?? stored?.digest ?? null }
  if (options.lift) {
    if (ban === undefined) throw new CliFault(`${encodeRecordKey(key)} is not banned`, EXIT.refused)
    const former = formerOf(ban, key)
    if (former === null) await remove(store, key, conditions)
    else {
      const put = { store, key, record: former, conditions: writeOptions(conditions) }
      await reportPut('restored', put, options.json)
    }
    return
  }
  if (ban !== undefined) throw new CliFault(`${encodeRecordKey(key)} is banned already`, EXIT.refused)
  const put = { store, key, record: await bannedRecord(stored?.record), conditions: writeOptions(conditions) }
  await reportPut('banned', put, options.json)
}

function formerOf(ban: Ban, key: RecordKey): AclRecord | null {
  try {
    return ban.former()
  } catch (error) {
    const what = `what ${encodeRecordKey(key)} was before the ban cannot be used`
    throw new CliFault(
      `${what}: ${(error as Error).message}; remove it with "delete", or write a whole one with "put --file"`,
    )
  }
}

async function exists(store: RedisStore, key: RecordKey): Promise<boolean> {
  try {
    return (await store.get(key)) !== undefined
  } catch (error) {
    if (error instanceof RecordInvalid) return true
    throw error
  }
}
