import type { Command } from 'commander'
import { AUTHORIZER_DEFAULTS } from '../authorizer/options.js'
import { quote, WardenError } from '../errors.js'
import { parseBcryptHash } from '../password/index.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import type { RedisFinding, RedisStore } from '../redis/index.js'
import { EXIT, printLine } from './io.js'
import { addStoreOptions, openStore, type StoreArguments } from './redis.js'

interface DoctorOptions extends StoreArguments {
  readonly lint: boolean
  readonly json: boolean
}

/** What is wrong with one record. */
interface Complaint {
  readonly key: RecordKey
  readonly problem: string
}

/** What was found among the records. */
interface Survey {
  readonly records: number
  /** Whether all were counted. */
  readonly isComplete: boolean
  /** Left out unless records were read. */
  readonly complaints?: readonly Complaint[]
}

/** Records that are counted, and read for complaints, at most. */
const MAX_RECORDS = 100_000

/** Complaints that are printed one by one. */
const MAX_PRINTED = 10

const LABELS = { ok: 'ok', info: 'note', warning: 'warning', failed: 'failed' } as const

/** Adds `doctor`. */
export function addDoctorCommand(program: Command): void {
  const doctor = program
    .command('doctor')
    .summary('tell whether a Redis has all that the records and their changes need')
    .description(
      'Looks at a Redis as a node would use it: version, topology, sentinels, replicas, eviction, what the user may do, ' +
        'whether a change is heard and how soon, and clocks. Each line that is not "ok" says what to do. No record is ' +
        'written or changed; a beat under our own prefix is, and expires within seconds.',
    )
    .option('--lint', `read the records too, up to ${MAX_RECORDS}, and name those that cannot be used`, false)
    .option('--json', 'print one JSON object', false)
  addStoreOptions(doctor)
    .addHelpText(
      'after',
      `
Exit codes: 0 nothing failed (there may be warnings), 1 something failed, 2 usage or fault

Examples:
  $ mqtt-warden doctor --redis redis://10.0.0.5:6379
  $ REDIS_PASSWORD=… mqtt-warden doctor --redis redis+sentinel://10.0.0.5,10.0.0.6,10.0.0.7/mymaster
  $ mqtt-warden doctor --redis redis+cluster://10.0.0.5:7000,10.0.0.6:7000 --lint --json`,
    )
    .action(run)
}

async function run(options: DoctorOptions): Promise<void> {
  await using store = await openStore(options)
  const findings = await store.check()
  const hasFailed = findings.some(({ level }) => level === 'failed')
  const isReadable = !findings.some(({ check, level }) => level === 'failed' && /^(connection|read)$/.test(check))
  const survey = isReadable ? await surveyRecords(store, options.lint) : undefined
  if (options.json) printLine(JSON.stringify({ ok: !hasFailed, findings, ...survey }, undefined, 2))
  else printReport(findings, survey)
  process.exitCode = hasFailed ? EXIT.refused : EXIT.allowed
}

async function surveyRecords(store: RedisStore, isLint: boolean): Promise<Survey> {
  let records = 0
  const complaints: Complaint[] = []
  for await (const key of store.scan()) {
    if (records === MAX_RECORDS) return { records, isComplete: false, ...(isLint && { complaints }) }
    records++
    if (!isLint) continue
    const problem = await store.get(key).then(hashProblem, (error: unknown) => {
      if (error instanceof WardenError && error.code === 'ERR_RECORD_INVALID') return error.message
      throw error
    })
    if (problem !== undefined) complaints.push({ key, problem })
  }
  return { records, isComplete: true, ...(isLint && { complaints }) }
}

/** Why nobody could log in by a record that can be read otherwise. */
function hashProblem(record: AclRecord | undefined): string | undefined {
  if (record === undefined) return undefined
  const hash = parseBcryptHash(record.passhash)
  if ('problem' in hash) return `passhash: ${hash.problem}`
  const { fallback: maxCost } = AUTHORIZER_DEFAULTS.maxCost
  return hash.cost > maxCost ? `passhash: cost ${hash.cost} is above the default maxCost, ${maxCost}` : undefined
}

function printReport(findings: readonly RedisFinding[], survey: Survey | undefined): void {
  const servers = new Set(findings.map(({ server }) => server))
  for (const server of servers) {
    printLine(`redis ${server}`)
    for (const { level, check, message, remedy } of findings.filter(finding => finding.server === server)) {
      printRow(level, check, remedy === undefined ? message : `${message}; ${remedy}`)
    }
  }
  if (survey === undefined) return
  const { records, isComplete, complaints } = survey
  const count = `${isComplete ? '' : 'more than '}${records}`
  if (complaints === undefined || complaints.length === 0) {
    printRow('ok', 'records', complaints === undefined ? count : `${count}, all of which can be used`)
    return
  }
  printRow('warning', 'records', `${complaints.length} of ${count} cannot be used`)
  for (const { key, problem } of complaints.slice(0, MAX_PRINTED)) printLine(`  ${describeKey(key)}: ${problem}`)
  if (complaints.length > MAX_PRINTED) printLine(`  and ${complaints.length - MAX_PRINTED} more (--json names all)`)
}

function describeKey({ mountpoint, clientId, username }: RecordKey): string {
  const names = `client id ${quote(clientId)}, username ${quote(username)}`
  return mountpoint === '' ? names : `mountpoint ${quote(mountpoint)}, ${names}`
}

function printRow(level: RedisFinding['level'], check: string, text: string): void {
  printLine(`${LABELS[level].padEnd(8)} ${check}: ${text}`)
}
