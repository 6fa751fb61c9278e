import { decodeRecordKey } from '../record/index.js'
import type { RecordKey } from '../record/types.js'
import { type Answer, MAX_REASON } from '../store/write.js'

/** What a writer asks: whether a record is in force as it is now. */
export interface Ask {
  readonly key: RecordKey
  /** Canonical text of the key. */
  readonly text: string
  /** Milliseconds from the sending of the write to that of the question. */
  readonly sinceMs: number
}

/** Largest question that is read, in bytes: three names of 65,535 bytes each, every one escaped. */
export const MAX_ASK_BYTES = 1_310_720

/** Largest answer that is read, in bytes. */
export const MAX_ANSWER_BYTES = 4_096

export function writeAsk({ text, sinceMs }: Pick<Ask, 'text' | 'sinceMs'>): string {
  return JSON.stringify({ key: text, sinceMs: Math.ceil(sinceMs) })
}

/** Reads a question; `undefined` for what no store has written. */
export function readAsk(value: string): Ask | undefined {
  try {
    const { key: text, sinceMs } = JSON.parse(value) as Record<string, unknown>
    if (typeof text !== 'string' || !isCount(sinceMs)) return undefined
    return { key: decodeRecordKey(text), text, sinceMs }
  } catch {
    return undefined
  }
}

/**
 * Reads an answer. One that no store has written confirms nothing. Members that older nodes do not write may be
 * missing.
 */
export function readAnswer(value: string): Answer {
  const counts = { sessionsCut: 0, subscriptionsDropped: 0, messagesDropped: 0 }
  try {
    const { digest, failed, pending, ...rest } = JSON.parse(value) as Record<string, unknown>
    const { sessionsCut, sessionsReauthorized = 0, subscriptionsDropped, messagesDropped = 0 } = rest
    const isDigest = digest === null || (typeof digest === 'string' && /^[0-9a-f]{64}$/.test(digest))
    const isReason = failed === undefined || (typeof failed === 'string' && failed.length <= MAX_REASON)
    const areCounts = [sessionsCut, sessionsReauthorized, subscriptionsDropped, messagesDropped].every(isCount)
    if (isDigest && isReason && areCounts) {
      const given = { digest, sessionsCut, subscriptionsDropped, messagesDropped }
      const more = sessionsReauthorized === 0 ? given : { ...given, sessionsReauthorized }
      return { ...more, ...(failed !== undefined && { failed }), ...(pending === true && { pending }) } as Answer
    }
  } catch {
    // Said below.
  }
  return { digest: null, ...counts, failed: 'the answer cannot be read' }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
