import { RecordInvalid } from '../errors.js'
import type { Command } from './client.js'
import type { Reply } from './connection.js'
import { CommandFailure } from './failure.js'

/** A value as Redis has it. */
export interface StoredValue {
  /** Of a value that is too large no more than shows that. */
  readonly bytes: Buffer
  /** Milliseconds until Redis drops it; negative when it never does. */
  readonly ttlMs: number
}

/** PTTL's answer where there is no key. */
const NO_KEY = -2

/** How many commands read one value. */
export const COMMANDS_A_VALUE = 2

/**
 * The commands that read a value. They need not be a transaction, since the expiry is asked for last: it is then the
 * value's own, or that of a later one. Whoever wrote that is heard of as of every change, and until then what was read
 * decides no longer than any record that was replaced.
 */
export function readingOf(redisKey: Buffer, maxBytes: number): readonly Command[] {
  return [
    ['getrange', redisKey, '0', String(maxBytes)],
    ['pttl', redisKey],
  ]
}

/**
 * What a read resolved with: `undefined` for no record, and `unclear` where it must be repeated, since one came to be
 * between the commands, or is empty.
 */
export function storedValue([bytes, ttlMs]: readonly (Reply | undefined)[]): StoredValue | 'unclear' | undefined {
  for (const reply of [bytes, ttlMs]) if (reply instanceof CommandFailure) throw meaningOf(reply)
  // Never taken for an absent record otherwise: that would let another record decide.
  if (!Buffer.isBuffer(bytes) || typeof ttlMs !== 'number') {
    throw new CommandFailure('refused', 'redis answered a read in a form that is none of its own')
  }
  if (ttlMs === NO_KEY) return undefined
  return bytes.length === 0 ? 'unclear' : { bytes, ttlMs }
}

/** A key that holds something else than a string is a fault of the record, not of Redis. */
export function meaningOf(error: unknown): unknown {
  if (!(error instanceof CommandFailure) || error.code !== 'WRONGTYPE') return error
  return new RecordInvalid('', 'is not a string in redis', { cause: error })
}
