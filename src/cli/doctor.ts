import type { Command } from 'commander'
import { quote, StoreUnavailable, WardenError } from '../errors.js'
import type { RecordKey } from '../record/types.js'
import type { RedisFinding, RedisStore } from '../redis/index.js'
import { EXIT, printLine } from './io.js'
import { hashProblem } from './records/stored.js'
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

/** The processes that decide by the records, as they announce themselves. */
interface Roll {
  /** `null` where they cannot be asked for. */
  readonly nodes: number | null
  readonly versions: readonly string[]
  /** Live sessions of all that tell. */
  readonly sessions: number
}

/** What was found among the records. */
interface Survey {
  /** `null` where they cannot be listed. */
  readonly records: number | null
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
  const isReadable = !findings.some(
    ({ check, level }) => level === 'failed' && /^(connection|read|topology)$/.test(check),
  )
  const roll = isReadable ? await callRoll(store) : undefined
  if (!options.json) {
    printFindings(findings)
    if (roll !== undefined) printRoll(roll)
  }
  const survey = isReadable ? await surveyRecords(store, options.lint) : undefined
  if (options.json) printLine(JSON.stringify({ ok: !hasFailed, findings, ...roll, ...survey }, undefined, 2))
  else if (survey !== undefined) printSurvey(survey)
  process.exitCode = hasFailed ? EXIT.refused : EXIT.allowed
}

async function callRoll(store: RedisStore): Promise<Roll> {
  // A user may read records without the rights to that list.
  const nodes = await store.nodes().catch(() => undefined)
  if (nodes === undefined) return { nodes: null, versions: [], sessions: 0 }
  const versions = [...new Set(nodes.map(({ version }) => version ?? 'unknown'))].sort()
  const sessions = nodes.reduce((total, node) => total + (node.sessions ?? 0), 0)
  return { nodes: nodes.length, versions, sessions }
}

async function surveyRecords(store: RedisStore, isLint: boolean): Promise<Survey> {
  try {
    return await countRecords(store, isLint)
  } catch (error) {
    // A user may read records without the right to list them.
    if (error instanceof StoreUnavailable && error.isForbidden) return { records: null, isComplete: false }
    throw error
  }
}

async function countRecords(store: RedisStore, isLint: boolean): Promise<Survey> {
  let records = 0
  const complaints: Complaint[] = []
  for await (const key of store.scan()) {
    if (records === MAX_RECORDS) return { records, isComplete: false, ...(isLint && { complaints }) }
    records++
    if (!isLint) continue
    const problem = await store.get(key).then(
      record => record && hashProblem(record),
      (error: unknown) => {
        if (error instanceof WardenError && error.code === 'ERR_RECORD_INVALID') return error.message
        throw error
      },
    )
    if (problem !== undefined) complaints.push({ key, problem })
  }
  return { records, isComplete: true, ...(isLint && { complaints }) }
}

function printFindings(findings: readonly RedisFinding[]): void {
  const servers = new Set(findings.map(({ server }) => server))
  for (const server of servers) {
    printLine(`redis ${server}`)
    for (const { level, check, message, remedy } of findings.filter(finding => finding.server === server)) {
      printRow(level, check, remedy === undefined ? message : `${message}; ${remedy}`)
    }
  }
}

function printRoll({ nodes, versions, sessions }: Roll): void {
  if (nodes === null) printRow('info', 'nodes', 'not known; grant what receipts need')
  else if (nodes === 0) {
    const message = 'none: no process with mqtt-warden decides by these records, or none may say so'
    printRow(
      'info',
      'nodes',
      `${message}; start one with the same --redis and --key-prefix, and the rights of receipts`,
    )
  } else {
    const count = `${nodes} announced, with ${sessions} live ${sessions === 1 ? 'session' : 'sessions'}`
    if (versions.length === 1) printRow('ok', 'nodes', `${count}, version ${versions[0]}`)
    else
      printRow(
        'info',
        'nodes',
        `${count}, of versions ${versions.join(', ')}; "mqtt-warden nodes" tells which, bring them all to one`,
      )
  }
}

function printSurvey({ records, isComplete, complaints }: Survey): void {
  if (records === null) {
    printRow('info', 'records', 'not known: this user may not list them; grant +scan')
    return
  }
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
