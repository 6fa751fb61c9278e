import type { Command } from './client.js'
import type { Connection } from './connection.js'
import { CommandFailure } from './failure.js'
import { type Finding, found, ok } from './findings.js'
import type { KeySpace } from './keys.js'

/** Clocks that differ by less are of no account, in milliseconds. */
const SKEW_MS = 1_000

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
  const replies = await connection.requestAll([['multi'], ['get', key], ['pttl', key], ['exec']], timeoutMs)
  const refused = replies.find(reply => reply instanceof CommandFailure)
  if (refused !== undefined) {
    return found('read', 'failed', refused.message, 'grant +multi +exec +get +pttl on the keys of records')
  }
  const [scanned] = await connection.requestAll([['scan', '0', 'match', keys.recordGlob, 'count', '1']], timeoutMs)
  if (scanned instanceof CommandFailure) return found('read', 'info', 'may read records, but not list them', '+scan')
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
  ]
  const replies = await connection.requestAll(commands, timeoutMs)
  const refused = replies.flatMap((reply, at) => {
    return reply instanceof CommandFailure ? [{ name: commands[at]![0], refusal: reply }] : []
  })
  if (refused.length === 0) return ok('write', 'may write records')
  const other = refused.find(({ refusal }) => refusal.code !== 'NOPERM')
  if (other !== undefined) return found('write', 'warning', other.refusal.message)
  const names = refused.map(({ name }) => `+${name}`).join(' ')
  return found('write', 'info', 'may not write records in every way', `to write them from here, grant ${names}`)
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
