import type { Command } from './client.js'
import type { Connection } from './connection.js'
import { CommandFailure } from './failure.js'
import { type Finding, found, ok, type RedisCheck } from './findings.js'
import type { KeySpace } from './keys.js'
import { remedyFor } from './remedies.js'

/** Clocks that differ by less are of no account, in milliseconds. */
const SKEW_MS = 1_000

/** How a server says that a key is refused and not a command: Redis up to 7.0, and later ones, Valkey among them. */
const KEY_REFUSED = /permissions to access (?:one of the keys|a key)\b/

/** What the probes of one server need. None of them changes anything. */
export interface ProbeContext {
  readonly connection: Connection
  readonly keys: KeySpace
  readonly timeoutMs: number
  /** End of keys that this server owns. */
  readonly end: string
}

/** Reads as `get` and `scan` do. */
export async function checkRead({ connection, keys, timeoutMs, end }: ProbeContext): Promise<Finding> {
  const key = keys.unusedKey(end)
  const reading: readonly Command[] = [
    ['getrange', key, '0', '0'],
    ['pttl', key],
  ]
  const refused = (await connection.requestAll(reading, timeoutMs)).find(reply => reply instanceof CommandFailure)
  if (refused !== undefined) {
    const { code, message } = refused
    const rights = 'grant +getrange +pttl on the keys of records'
    return found('read', 'failed', message, code === 'NOPERM' ? rights : remedyFor(message))
  }
  const [scanned] = await connection.requestAll([['scan', '0', 'match', keys.recordGlob, 'count', '1']], timeoutMs)
  if (scanned instanceof CommandFailure)
    return found('read', 'info', 'may read records, but not list them', 'grant +scan')
  return ok('read', 'may read and list records')
}

/** Writes, under conditions that do not hold. */
export async function checkWrite({ connection, keys, timeoutMs, end }: ProbeContext): Promise<Finding> {
  const key = keys.unusedKey(end)
  const commands: readonly Command[] = [
    ['set', key, '', 'xx', 'keepttl'],
    ['del', key],
    ['exists', key],
    ['eval', 'return 0', '1', key],
    ['get', key],
  ]
  const replies = await connection.requestAll(commands, timeoutMs)
  const refused = replies.flatMap((reply, at) => {
    return reply instanceof CommandFailure ? [{ name: commands[at]![0], refusal: reply }] : []
  })
  if (refused.length === 0) return ok('write', 'may write records')
  const other = refused.find(({ refusal }) => refusal.code !== 'NOPERM')
  if (other !== undefined) {
    const { message } = other.refusal
    return found('write', 'warning', message, remedyFor(message))
  }
  const names = refused.map(({ name }) => `+${name}`).join(' ')
  return found('write', 'info', 'may not write records in every way', `to write them from here, grant ${names}`)
}

/** What processes have in Redis for each other, and how a use of it looks that changes nothing. */
const USES: readonly {
  readonly check: RedisCheck
  readonly what: string
  readonly remedy: string
  commands(keys: KeySpace): readonly Command[]
}[] = [
  {
    check: 'shared',
    what: 'keep shared state',
    remedy: 'for client ids that have one owner among all nodes of aedes',
    commands: keys => {
      const key = keys.sharedKey('check')
      return [
        ['get', key],
        ['set', key, '', 'xx', 'px', '1'],
        ['del', key],
        ['eval', 'return 0', '1', key],
      ]
    },
  },
  {
    check: 'receipts',
    what: 'take part in receipts',
    remedy: 'for writers who want to know that all nodes decide by a record',
    commands: ({ nodesKey, askKey, rowKey }) => [
      ['time'],
      ['zadd', nodesKey, 'xx', '0', 'check'],
      ['zrem', nodesKey, 'check'],
      ['zremrangebyscore', nodesKey, '(0', '0'],
      ['zrangebyscore', nodesKey, '(0', '0'],
      // Shortens no life: theirs are not longer.
      ['pexpire', nodesKey, '172800000', 'lt'],
      ['getrange', askKey('check'), '0', '0'],
      ['set', askKey('check'), '', 'xx', 'px', '1'],
      ['set', rowKey('check', 'check'), '', 'xx', 'px', '1'],
    ],
  },
  {
    check: 'counters',
    what: 'count failed logins together with others',
    remedy: 'for limits that count for all nodes',
    commands: keys => {
      const key = keys.limiterPrefix('check')
      return [
        ['get', key],
        ['set', key, '', 'xx', 'px', '1'],
        ['pttl', key],
        ['eval', 'return 0', '1', key],
        ['expire', key, '1'],
      ]
    },
  },
]

/**
 * Asks for the rights beyond those to records. On a Cluster the keys may be elsewhere: this server says whether it may.
 */
export async function checkUses({ connection, keys, timeoutMs }: ProbeContext): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const { check, what, remedy, commands } of USES) {
    const sent = commands(keys)
    const replies = await connection.requestAll(sent, timeoutMs)
    const missing = sent.flatMap(([name, key = ''], at) => {
      const reply = replies[at]
      if (!(reply instanceof CommandFailure) || reply.code !== 'NOPERM') return []
      return [KEY_REFUSED.test(reply.message) ? `~${key}` : `+${name}`]
    })
    if (missing.length === 0) findings.push(ok(check, `may ${what}`))
    else findings.push(found(check, 'info', `may not ${what}`, `${remedy}, grant ${[...new Set(missing)].join(' ')}`))
  }
  return findings
}

/** Times in records are compared with the clock of this process. */
export async function checkClock({ connection, timeoutMs }: ProbeContext): Promise<Finding> {
  const sentAt = Date.now()
  const [reply] = await connection.requestAll([['time']], timeoutMs)
  const here = (sentAt + Date.now()) / 2
  if (!Array.isArray(reply)) return found('clock', 'info', 'not known: the user may not run TIME', 'grant +time')
  const aheadMs = Math.round(Number(reply[0]) * 1_000 + Number(reply[1]) / 1_000 - here)
  if (Math.abs(aheadMs) < SKEW_MS) return ok('clock', 'agrees with the clock of this machine')
  const message = `${Math.abs(aheadMs)} ms ${aheadMs > 0 ? 'ahead of' : 'behind'} the clock of this machine`
  return found('clock', 'info', message, 'keep the clocks in step: expires_at counts by those of the nodes')
}

/** What tells an old view of a Cluster from a new one. */
export async function checkEpoch({ connection, timeoutMs }: ProbeContext): Promise<Finding> {
  const [reply] = await connection.requestAll([['cluster', 'info']], timeoutMs)
  if (!(reply instanceof CommandFailure)) return ok('epoch', 'a master that was replaced is told by its epoch')
  const message = 'not known: in a partition a master that was replaced may be believed for a moment'
  return found('epoch', 'info', message, 'grant +cluster|info')
}
