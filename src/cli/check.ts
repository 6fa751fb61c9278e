import { type Command, Option } from 'commander'
import { compileAcl } from '../acl/compile.js'
import { reasons } from '../acl/reasons.js'
import type { AclRule, Decision, Principal, Qos, Semantics } from '../acl/types.js'
import { describeNearest } from '../authorizer/describe.js'
import { quote } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { AclRecord } from '../record/types.js'
import { collect, integer } from './arguments.js'
import { CliFault, EXIT, printLine, readRecord, warnLine } from './io.js'
import { describeBan } from './records/ban.js'
import { hashProblem, readStored } from './records/stored.js'
import { addRedisOptions, openStore } from './redis.js'

interface CheckOptions {
  /** `true` for the one that the environment names. */
  readonly redis?: string | true
  readonly cluster: boolean
  readonly keyPrefix?: string
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
  readonly receive?: readonly string[]
  readonly clientId?: string
  readonly username?: string
  readonly mountpoint?: string
  readonly qos: Qos
  readonly retain: boolean
  readonly payloadSize?: number
  readonly semantics: Semantics
  readonly json: boolean
}

interface Found {
  readonly record: AclRecord
  /** Text of the key it was found under; `undefined` for a file. */
  readonly key: string | undefined
}

type Verdict = { action: string; subject: string } & Decision

/** Adds `check`. */
export function addCheckCommand(program: Command): void {
  const command = program
    .command('check')
    .summary('tell what a record allows, and why')
    .description(
      'Tells what a record allows: each request with its decision and the rule behind it, or the nearest ' +
        'rule and what it missed. Without a request it says whether the record itself can be used.',
    )
    .argument('[record]', 'file with the JSON of a record, or - for standard input, which is the default')
    .option('-p, --publish <topic>', 'may the client publish to this topic name? (repeatable)', collect)
    .option('-s, --subscribe <filter>', 'may the client subscribe to this topic filter? (repeatable)', collect)
    .option('-r, --receive <topic>', 'may a message of this topic name be delivered? (repeatable)', collect)
    .option('-c, --client-id <id>', 'client id, for %c and for --redis')
    .option('-u, --username <name>', 'username, for %u and for --redis')
    .option('-m, --mountpoint <name>', 'mountpoint, for %m and for --redis')
    .addOption(new Option('-q, --qos <n>', 'QoS of the requests').argParser(integer(0, 2)).default(0))
    .option('--retain', 'publish with the retain flag', false)
    .option('--payload-size <bytes>', 'size of the published payload', integer(0, 268_435_456))
    .option('--json', 'print one JSON object', false)
  const redis = 'read the record from Redis instead, under the client id and the username; by default that of REDIS_URL'
  addRedisOptions(command, new Option('--redis [url]', redis))
    .addHelpText(
      'after',
      `
Exit codes: 0 all allowed, 1 something refused, 2 usage or fault

Examples:
  $ mqtt-warden check device.json --subscribe 'plant/#' --client-id p7
  $ mqtt-warden check --redis redis://127.0.0.1 -c 1528361231 -u 101 --publish say --qos 1`,
    )
    .action(check)
}

async function check(path: string | undefined, options: CheckOptions): Promise<void> {
  if (path !== undefined && options.redis !== undefined) throw new CliFault('name a record or --redis, not both')
  const found = options.redis === undefined ? await fromFile(path ?? '-', options) : await fromRedis(options)
  if (found === undefined) {
    if (options.json) printLine(JSON.stringify({ record: null, allow: false, reason: 'bad_credentials' }))
    else {
      const { clientId, username } = principalOf(options)
      printLine(`refused: no record for client id ${quote(clientId)}, username ${quote(username)}`)
    }
    process.exitCode = EXIT.refused
    return
  }
  const verdicts = decide(found.record, options)
  const problem = loginProblem(found.record)
  if (options.json) printLine(JSON.stringify({ key: found.key ?? null, results: verdicts }, undefined, 2))
  else printReport(found, verdicts, problem === undefined)
  if (problem !== undefined) warnLine(`nobody can log in by this record: ${problem}`)
  // What was asked for is answered whether or not a client could get so far.
  const isUseless = verdicts.length === 0 && problem !== undefined
  process.exitCode = !isUseless && verdicts.every(({ allow }) => allow) ? EXIT.allowed : EXIT.refused
}

async function fromFile(path: string, { semantics }: CheckOptions): Promise<Found> {
  return { record: await readRecord(path, semantics), key: undefined }
}

async function fromRedis({ redis, ...options }: CheckOptions): Promise<Found | undefined> {
  const { mountpoint, clientId, username } = principalOf(options)
  if (username === '') throw new CliFault('--redis needs --username, and --client-id for a record of its own')
  if (clientId === '*')
    throw new CliFault("no client is let in under the client id '*': it names the record for all others")
  const { REDIS_URL = '' } = process.env
  await using store = await openStore({ ...options, redis: redis === true ? REDIS_URL : redis! })
  for (const id of new Set([clientId, '*'])) {
    const key = { mountpoint, clientId: id, username }
    const stored = await readStored(store, key)
    if (stored !== undefined) return { record: stored.record, key: encodeRecordKey(key) }
  }
  return undefined
}

/** Why a record is of no use to anybody, whatever its rules say. */
function loginProblem(record: AclRecord): string | undefined {
  const ban = describeBan(record)
  return ban === undefined ? (hashProblem(record) ?? expiryProblem(record)) : `it ${ban}`
}

function expiryProblem({ expiresAt = Infinity }: AclRecord): string | undefined {
  const endsAtMs = expiresAt * 1_000
  return endsAtMs <= Date.now() ? `expires_at: it ended at ${new Date(endsAtMs).toISOString()}` : undefined
}

function principalOf({ mountpoint = '', clientId = '', username = '' }: CheckOptions): Principal {
  return { mountpoint, clientId, username }
}

function decide(record: AclRecord, options: CheckOptions): Verdict[] {
  const { publish = [], subscribe = [], receive = [], qos, retain, payloadSize, semantics } = options
  const acl = compileAcl({ publishAcl: record.publishAcl, subscribeAcl: record.subscribeAcl }, { semantics })
  const principal = principalOf(options)
  const facts = { qos, retain, ...(payloadSize !== undefined && { payloadSize }) }
  return [
    ...publish.map(subject => ({
      action: 'publish',
      subject,
      ...acl.authorizePublish(principal, subject, facts),
    })),
    ...subscribe.map(subject => ({
      action: 'subscribe',
      subject,
      ...acl.authorizeSubscribe(principal, subject, { qos }),
    })),
    ...receive.map(subject => ({ action: 'receive', subject, ...acl.authorizeReceive(principal, subject) })),
  ]
}

function printReport({ record, key }: Found, verdicts: readonly Verdict[], isUsable: boolean): void {
  if (key !== undefined) printLine(`record ${key}`)
  if (verdicts.length === 0 && isUsable) {
    const counts = `${record.publishAcl.length} publish and ${record.subscribeAcl.length} subscribe rules`
    printLine(`the record can be used: ${counts}`)
  }
  for (const verdict of verdicts) printLine(describeVerdict(verdict, record))
}

function describeVerdict(verdict: Verdict, { publishAcl, subscribeAcl }: AclRecord): string {
  const request = `${verdict.action} ${quote(verdict.subject)}`
  if (verdict.allow) {
    const rules: readonly AclRule[] = verdict.rules ?? [verdict.rule]
    return `allowed  ${request}: by ${rules.map(({ pattern }) => quote(pattern)).join(' with ')}`
  }
  const { reason, nearest, missed } = verdict
  const parts = [`refused  ${request}: ${reason}, ${reasons[reason].text}`]
  if (nearest !== undefined) parts.push(describeNearest(nearest, missed))
  else if ((verdict.action === 'publish' ? publishAcl : subscribeAcl).length === 0) parts.push('there are no rules')
  return parts.join('; ')
}
