import { type Command, InvalidArgumentError, Option } from 'commander'
import { quote, RecordConflict } from '../../errors.js'
import { encodeRecordKey } from '../../record/key.js'
import { serializeRecord } from '../../record/serialize.js'
import type { AclRecord, RecordKey } from '../../record/types.js'
import type { RedisStore } from '../../redis/index.js'
import { NotDurable } from '../../store/not-durable.js'
import type { Receipt, ReceiptRow, WriteOptions, WriteResult } from '../../store/types.js'
import { digestOf } from '../../store/write.js'
import { integer } from '../arguments.js'
import { CliFault, EXIT, inSeconds, printLine, printTable, warnLine } from '../io.js'
import { hashProblem } from './stored.js'

/** What the command line says about a write. */
export interface WriteArguments {
  /** A digest, or `null` for a record that must not be there yet. */
  readonly ifMatch?: string | null
  /** `true` for the default time. */
  readonly receipt?: number | true
  readonly minReplicas?: number
  readonly json: boolean
}

const RECEIPT_MS = 5_000

/** What the exit codes of writing commands mean. */
export const WRITE_EXITS = `Exit codes: 0 done, 1 not done (no such record, or --if-match does not hold), 2 usage or fault,
3 done, but a node stayed silent or has another record, 4 done, but fewer replicas than demanded have it,
130 interrupted: the message tells whether it is done`

/** Adds the options of every write. */
export function addWriteOptions(command: Command): Command {
  return command
    .option('--if-match <digest>', 'only if the stored record has this digest; "none": only if there is none', digest)
    .addOption(
      new Option(
        '--receipt [ms]',
        `wait until every node has confirmed, ${RECEIPT_MS} ms at most if not told otherwise; put it last`,
      ).argParser(integer(1, 600_000)),
    )
    .option('--min-replicas <n>', 'demand that so many replicas have the write', integer(1, 100))
    .option('--json', 'print one JSON object', false)
}

export function writeOptions({ ifMatch, receipt, minReplicas }: WriteArguments): WriteOptions {
  return {
    ...(ifMatch !== undefined && { ifMatch }),
    ...(receipt !== undefined && { receipt: { timeoutMs: receipt === true ? RECEIPT_MS : receipt } }),
    ...(minReplicas !== undefined && { minReplicas }),
  }
}

/** A write under way. */
export interface Writing {
  /** What has happened once it is done, as in `written ["","a","b"]`. */
  readonly done: string
  readonly key: RecordKey
  readonly store: RedisStore
  /** Digest of what is written; `null` when a record is removed. */
  readonly digest: string | null
  readonly write: Promise<WriteResult>
  /** Why what is written is hardly meant so. */
  readonly doubt?: string | undefined
}

/** Awaits a write, prints what came of it, and sets the exit code. */
export async function report({ done, key, doubt, ...writing }: Writing, isJson: boolean): Promise<void> {
  const text = encodeRecordKey(key)
  const interrupt = (): void => void giveUp({ done, key, ...writing })
  process.once('SIGINT', interrupt)
  const { result, problem } = await settle(writing.write).finally(() => process.off('SIGINT', interrupt))
  if (isJson) printLine(JSON.stringify({ key: text, ...result }, undefined, 2))
  else {
    printLine(`${done} ${text}`)
    if (result.digest !== null) printLine(`digest ${result.digest}`)
    if (result.replicas !== undefined) printLine(`replicas ${result.replicas}`)
    if (result.receipt !== undefined) printReceipt(result.receipt, result.digest)
  }
  for (const warning of result.warnings) warnLine(`warning: ${warning}`)
  if (doubt !== undefined) warnLine(`warning: ${doubt}`)
  if (problem !== undefined) warnLine(problem.message)
  const isUnconfirmed = result.receipt?.confirmed === false
  if (isUnconfirmed) warnLine(describeDoubt(result.receipt))
  process.exitCode = problem !== undefined ? EXIT.notDurable : isUnconfirmed ? EXIT.unconfirmed : EXIT.allowed
}

/** A record to write. */
export interface Putting extends Pick<Writing, 'key' | 'store'> {
  readonly record: AclRecord
  readonly conditions: WriteOptions
}

/** Writes a record, and reports it. */
export async function reportPut(
  done: string,
  { store, key, record, conditions }: Putting,
  isJson: boolean,
): Promise<void> {
  const digest = digestOf(serializeRecord(record))
  const problem = hashProblem(record)
  const doubt = problem && `nobody can log in by this record: ${problem}`
  await report({ done, key, store, digest, write: store.put(key, record, conditions), doubt }, isJson)
}

/** Says whether a write stands that nobody waits for any more, and ends the process. Interrupted once more, at once. */
async function giveUp({ done, key, store, digest }: Writing): Promise<never> {
  try {
    const stored = await store.getStored(key)
    const stands = (stored?.digest ?? null) === digest
    if (stands) warnLine(`interrupted: ${done} ${encodeRecordKey(key)}, but not confirmed by every node`)
    else warnLine('interrupted: nothing was written when last looked; "mqtt-warden get" tells')
  } catch (error) {
    warnLine(`interrupted: it may have been written; "mqtt-warden get" tells: ${(error as Error).message}`)
  }
  process.exit(EXIT.interrupted)
}

async function settle(write: Promise<WriteResult>): Promise<{ result: WriteResult; problem?: NotDurable }> {
  try {
    return { result: await write }
  } catch (error) {
    if (error instanceof NotDurable) return { result: error.result, problem: error }
    if (error instanceof RecordConflict) throw new CliFault(`nothing written: ${error.message}`, EXIT.refused)
    throw error
  }
}

function printReceipt({ rows, silentNodes }: Receipt, digest: string | null): void {
  if (rows.length + silentNodes.length === 0) return
  const state = ({ digest: read, failed, pending, sessionsReauthorized = 0 }: ReceiptRow): string => {
    if (failed !== undefined) return `failed: ${quote(failed)}`
    if (read !== digest) return read === null ? 'no record there' : `another record: ${read.slice(0, 12)}…`
    const judged = sessionsReauthorized === 0 ? '' : `; ${sessionsReauthorized} reauthorized`
    return `in force${judged}${pending === undefined ? '' : '; still tidying stored sessions'}`
  }
  const cellsOf = (row: ReceiptRow) => [row.sessionsCut, row.subscriptionsDropped, row.messagesDropped, row.ms]
  printTable([
    ['node', 'sessions cut', 'subscriptions dropped', 'messages dropped', 'ms', 'record'],
    ...rows.map(row => [row.node, ...cellsOf(row).map(String), state(row)]),
    ...silentNodes.map(({ node, seenMs }) => {
      return [node, '-', '-', '-', '-', `silent, last heard ${inSeconds(seenMs)} ago`]
    }),
  ])
}

function describeDoubt({ rows, silent, silentNodes, failed }: Receipt): string {
  if (failed !== undefined) return `written, but not confirmed: ${failed}`
  if (rows.length + silent.length === 0) return 'written, but no node is there to confirm it'
  if (silent.length > 0) {
    const count = `${silent.length} of ${rows.length + silent.length} nodes stayed silent`
    const left = inSeconds(Math.max(...silentNodes.map(({ leftMs }) => leftMs)))
    return `written, but ${count}: dead or cut off, in ${left} none of them decides by anything older`
  }
  return 'written, but not in force on every node'
}

function digest(text: string): string | null {
  if (text === 'none') return null
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('must be 64 hex digits in lower case, or "none"')
  return text
}
