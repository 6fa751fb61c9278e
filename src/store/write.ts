import { createHash } from 'node:crypto'
import { RecordConflict } from '../errors.js'
import { checkNames, integerOption } from '../options.js'
import {
  decodeRecordKey,
  encodeRecordKey,
  type RecordLimits,
  recordKeyWarnings,
  serializeRecord,
  validateRecord,
} from '../record/index.js'
import { recordWarnings } from '../record/members.js'
import type { AclRecord, RecordKey } from '../record/types.js'
import { NotDurable } from './not-durable.js'
import type { ChangeEffects, Receipt, ReceiptRow, WriteOptions, WriteResult } from './types.js'

/** Longest wait for a receipt, in milliseconds. */
const MAX_RECEIPT_MS = 600_000

const WRITE_NAMES: ReadonlySet<string> = new Set(['ifMatch', 'receipt', 'minReplicas'])
const RECEIPT_NAMES: ReadonlySet<string> = new Set(['timeoutMs'])

/** Unix seconds of the year 10000, which milliseconds of today are beyond. */
const YEAR_10000 = 253_402_300_800

/** A record that passed every check, in the forms in which stores need it. */
export interface PreparedRecord {
  /** Frozen copy; the caller's object may change afterwards. */
  readonly record: AclRecord
  /** The value to store. */
  readonly text: string
  readonly digest: string
  /** What another reader of key or value would stumble over. */
  readonly warnings: readonly string[]
}

/** Canonical text of a key, and a frozen copy of the key. */
export interface PreparedKey {
  readonly text: string
  readonly key: RecordKey
}

/** SHA-256 of a stored value in lower-case hex. */
export function digestOf(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex')
}

/** Checks a key and copies it. */
export function prepareKey(key: RecordKey): PreparedKey {
  const text = encodeRecordKey(key)
  return { text, key: decodeRecordKey(text) }
}

/** Checks a record, freezes a copy of it and writes it down. */
export function prepareRecord(key: RecordKey, record: AclRecord, limits: RecordLimits = {}): PreparedRecord {
  const checked = validateRecord(record, limits)
  const text = serializeRecord(checked, limits)
  const warnings = [...recordKeyWarnings(key), ...recordWarnings(checked)]
  if (!checked.passhash.startsWith('$2a$')) warnings.push('passhash is not $2a$: VerneMQ cannot read it')
  const { expiresAt = Infinity } = checked
  if (expiresAt * 1_000 <= Date.now()) warnings.push('expiresAt has passed: nobody can log in by this record')
  else if (expiresAt > YEAR_10000 && expiresAt < Infinity) {
    warnings.push('expiresAt is after the year 9999: it counts seconds, not milliseconds')
  }
  return { record: checked, text, digest: digestOf(text), warnings: Object.freeze(warnings) }
}

/** Refuses a malformed condition before anything is sent. */
export function checkWriteOptions(options: WriteOptions | undefined): void {
  if (options === undefined) return
  checkNames(options, WRITE_NAMES, 'put() and delete()')
  const { ifMatch = null, receipt, minReplicas } = options
  if (ifMatch !== null && (typeof ifMatch !== 'string' || !/^[0-9a-f]{64}$/.test(ifMatch))) {
    throw new TypeError('"ifMatch" option must be null or a SHA-256 digest in lower-case hex')
  }
  if (receipt !== undefined && (typeof receipt !== 'object' || receipt === null || receipt.timeoutMs === undefined)) {
    throw new TypeError('"receipt" option must be an object with a "timeoutMs"')
  }
  if (receipt !== undefined) {
    checkNames(receipt, RECEIPT_NAMES, 'put() and delete()', 'receipt.')
    integerOption(receipt, 'timeoutMs', { fallback: 0, min: 1, max: MAX_RECEIPT_MS })
  }
  if (minReplicas !== undefined) integerOption({ minReplicas }, 'minReplicas', { fallback: 1, min: 1, max: 100 })
}

/**
 * Puts together what a write did.
 *
 * @throws NotDurable when fewer replicas have it than were demanded.
 */
export function settleWrite(result: WriteResult, { minReplicas }: WriteOptions = {}): WriteResult {
  if (minReplicas !== undefined && (result.replicas ?? 0) < minReplicas) throw new NotDurable(result, minReplicas)
  return result
}

/** What a node says of a change: a row of the receipt without who says it, and when. */
export type Answer = Omit<ReceiptRow, 'node' | 'ms'>

/** Longest reason in an answer, in characters. */
export const MAX_REASON = 256

/** Puts together what a node says, from what its watchers did and the digest of what it read. */
export function composeAnswer({
  digest,
  failed,
  later,
  ...effects
}: ChangeEffects & Pick<ReceiptRow, 'digest'>): Answer {
  const { sessionsCut = 0, sessionsReauthorized, subscriptionsDropped = 0, messagesDropped = 0 } = effects
  return {
    digest,
    sessionsCut,
    subscriptionsDropped,
    messagesDropped,
    ...(sessionsReauthorized && { sessionsReauthorized }),
    ...(failed !== undefined && { failed: failed.slice(0, MAX_REASON) }),
    ...(later !== undefined && { pending: true }),
  }
}

/** Puts together a receipt for a write of this digest. */
export function composeReceipt(
  digest: string | null,
  { rows, silentNodes, failed }: Pick<Receipt, 'rows' | 'silentNodes'> & { readonly failed?: string | undefined },
): Receipt {
  const silent = silentNodes.map(({ node }) => node)
  const isInForce = (row: ReceiptRow): boolean => row.failed === undefined && row.digest === digest
  const confirmed = failed === undefined && rows.length > 0 && silent.length === 0 && rows.every(isInForce)
  return { confirmed, rows, silent, silentNodes, ...(failed !== undefined && { failed }) }
}

/** Throws `RecordConflict` unless the digest stored now (`null`: nothing) meets the condition. */
export function demandMatch(ifMatch: string | null | undefined, stored: string | null): void {
  if (ifMatch !== undefined && ifMatch !== stored) throw recordConflict(ifMatch)
}

/** The error for a condition that does not hold. */
export function recordConflict(ifMatch: string | null): RecordConflict {
  return new RecordConflict(ifMatch === null ? 'there is a record already' : 'the record stored now is another one')
}
