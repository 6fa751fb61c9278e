import type { Command } from 'commander'
import { encodeRecordKey } from '../../record/key.js'
import { serializeRecord } from '../../record/serialize.js'
import type { NodeInfo } from '../../store/types.js'
import { CliFault, EXIT, inSeconds, inUtc, printLine, printTable, warnLine } from '../io.js'
import { addStoreOptions, openStore, type StoreArguments } from '../redis.js'
import { describeBan } from './ban.js'
import { readStored } from './stored.js'

interface GetArguments extends StoreArguments {
  readonly mountpoint: string
  readonly json: boolean
}

interface ListArguments extends StoreArguments {
  readonly mountpoint?: string
  readonly clientId?: string
  readonly username?: string
  readonly json: boolean
}

/** Adds `get`, `list` and `nodes`. */
export function addReadCommands(program: Command): void {
  const get = program
    .command('get')
    .summary('print the record that decides for a client')
    .description(
      "Prints the record that decides for a client: its own, or else that of '*'. Standard output holds the JSON of the " +
        'record, password hash included, as "put --file" takes it; which record it is goes to standard error.',
    )
    .argument('<client-id>', 'client id')
    .argument('<username>', 'username')
    .option('-m, --mountpoint <name>', 'mountpoint', '')
    .option('--json', 'print one JSON object with key, digest and record', false)
  addStoreOptions(get).addHelpText('after', '\nExit codes: 0 found, 1 there is none, 2 usage or fault').action(runGet)

  const list = program
    .command('list')
    .summary('print the keys of records')
    .description('Prints the keys of all records, or of those that fit, one a line, as they are found.')
    .option('-c, --client-id <id>', 'only of this client id')
    .option('-u, --username <name>', 'only of this username')
    .option('-m, --mountpoint <name>', 'only of this mountpoint')
    .option('--json', 'print an object for each instead of the array that its key is', false)
  addStoreOptions(list).addHelpText('after', '\nExit codes: 0 found, 1 there is none, 2 usage or fault').action(runList)

  const nodes = program
    .command('nodes')
    .summary('print the processes that decide by the records')
    .description(
      'Prints the processes that decide by the records now: version, live sessions at the last sign of life, and the ' +
        'time since then. One that died stays in the list for as long as it could have gone on deciding by what it knew. ' +
        'A process that answers other brokers ("serve") has no sessions of its own.',
    )
    .option('--json', 'print one JSON array', false)
  addStoreOptions(nodes)
    .addHelpText('after', '\nExit codes: 0 there are some, 1 there is none, 2 usage or fault')
    .action(runNodes)
}

async function runGet(clientId: string, username: string, options: GetArguments): Promise<void> {
  await using store = await openStore(options)
  for (const id of new Set([clientId, '*'])) {
    const key = { mountpoint: options.mountpoint, clientId: id, username }
    const stored = await readStored(store, key)
    if (stored === undefined) continue
    const text = encodeRecordKey(key)
    const record: unknown = JSON.parse(serializeRecord(stored.record))
    const { digest, expiresAtMs } = stored
    if (options.json) printLine(JSON.stringify({ key: text, digest, expiresAtMs, record }, undefined, 2))
    else {
      printLine(JSON.stringify(record, undefined, 2))
      const whose = id === '*' ? 'every client id without a record of its own' : 'this client id alone'
      warnLine(`record ${text}, for ${whose}; digest ${digest}`)
      const ban = describeBan(stored.record)
      if (ban !== undefined) warnLine(`warning: it ${ban}`)
    }
    return
  }
  throw new CliFault(`no record ${encodeRecordKey({ ...options, clientId, username })}, nor one of '*'`, EXIT.refused)
}

async function runList({ clientId, username, mountpoint, ...options }: ListArguments): Promise<void> {
  await using store = await openStore(options)
  const wanted = Object.entries({ clientId, username, mountpoint }).filter(([, value]) => value !== undefined)
  let found = 0
  for await (const key of store.scan()) {
    if (!wanted.every(([name, value]) => key[name as keyof typeof key] === value)) continue
    found++
    printLine(options.json ? JSON.stringify(key) : encodeRecordKey(key))
  }
  if (found === 0) warnLine(`there is no record${wanted.length > 0 ? ' that fits' : ''}`)
  process.exitCode = found > 0 ? EXIT.allowed : EXIT.refused
}

async function runNodes(options: StoreArguments & { readonly json: boolean }): Promise<void> {
  await using store = await openStore(options)
  const nodes = await store.nodes()
  if (options.json) printLine(JSON.stringify(nodes, undefined, 2))
  else if (nodes.length > 0) printNodes(nodes)
  if (nodes.length === 0) warnLine('no node has announced itself')
  process.exitCode = nodes.length > 0 ? EXIT.allowed : EXIT.refused
}

function printNodes(nodes: readonly NodeInfo[]): void {
  printTable([
    ['node', 'version', 'sessions', 'since', 'seen', 'forgotten after'],
    ...nodes.map(({ id, version = '-', sessions = '-', startedAt, seenMs, leaseMs }) => {
      return [
        id,
        version,
        String(sessions),
        inUtc(startedAt) ?? '-',
        `${inSeconds(seenMs)} ago`,
        `${inSeconds(leaseMs)} of silence`,
      ]
    }),
  ])
}
