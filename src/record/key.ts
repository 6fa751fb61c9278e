import { quote, RecordKeyInvalid } from '../errors.js'
import type { RecordKey } from './types.js'

/** The parts of a record key; the mountpoint may be left out. */
export interface RecordKeyParts {
  /** @default '' */
  readonly mountpoint?: string
  readonly clientId: string
  readonly username: string
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const PARTS = ['mountpoint', 'clientId', 'username'] as const

/**
 * Writes the Redis key under which VerneMQ looks for a record: a JSON array of mountpoint, client id and username.
 *
 * The text is what VerneMQ's encoder writes, byte for byte: no spaces, and U+2028 and U+2029 escaped, which
 * `JSON.stringify` leaves as they are.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/record`.
 *
 * @example
 * ```ts
 * encodeRecordKey({ clientId: '1528361231', username: '101' }) // '["","1528361231","101"]'
 * ```
 *
 * @param key Three texts. `*` as client id names the record for every client id.
 * @throws RecordKeyInvalid (`ERR_RECORD_KEY_INVALID`) for a part that is no string, or no parts at all.
 * @see {@link recordKeyWarnings} for keys that VerneMQ cannot look up.
 */
export function encodeRecordKey(parts: RecordKeyParts): string {
  if (typeof parts !== 'object' || parts === null) throw new RecordKeyInvalid('record key must be an object')
  const { mountpoint = '', clientId, username } = parts
  if (typeof mountpoint !== 'string') throw notText('mountpoint')
  if (typeof clientId !== 'string') throw notText('clientId')
  if (typeof username !== 'string') throw notText('username')
  // What is put together by other means V8 keeps as a tree of its parts, or with two bytes a character where a part has
  // been the name of a property, and caches hold thousands of keys.
  const text = JSON.stringify([mountpoint, clientId, username])
  // Most names hold neither, and keys are written at every look-up.
  if (isPlain(mountpoint) && isPlain(clientId) && isPlain(username)) return text
  return text.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

function notText(part: keyof RecordKey): RecordKeyInvalid {
  return new RecordKeyInvalid(`${part}: must be a string`)
}

/** Whether a text in JSON is itself between quotes. It is then printable ASCII, which most names are. */
export function isPlain(text: string): boolean {
  // Character by character: for names, faster than to enter an expression.
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) return false
  }
  return true
}

/**
 * Reads a record key. Only the canonical text is accepted: VerneMQ looks up no other, so another spelling of the same
 * three texts names a record that nobody reads.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/record`.
 *
 * @param key Text of a Redis key.
 * @returns The parts, frozen.
 * @throws RecordKeyInvalid (`ERR_RECORD_KEY_INVALID`); the message tells whether it is no JSON, no array of three
 * strings, or not canonical, and then which text would be.
 */
export function decodeRecordKey(key: string): RecordKey {
  if (typeof key !== 'string') throw new RecordKeyInvalid('record key must be a string')
  let parts: unknown
  try {
    parts = JSON.parse(key)
  } catch {
    throw new RecordKeyInvalid(`record key ${quote(key)} is not JSON`)
  }
  if (!Array.isArray(parts) || parts.length !== 3 || !parts.every(part => typeof part === 'string')) {
    throw new RecordKeyInvalid(
      `record key ${quote(key)} is not an array of three strings: mountpoint, client id, username`,
    )
  }
  const [mountpoint, clientId, username] = parts as [string, string, string]
  const canonical = encodeRecordKey({ mountpoint, clientId, username })
  if (canonical !== key) {
    throw new RecordKeyInvalid(`record key ${quote(key)} is not canonical: write ${quote(canonical)}`)
  }
  return Object.freeze({ mountpoint, clientId, username })
}

/**
 * Tells why a broker would not find the record of a key that is valid in itself. Stores hand this on when they write.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/record`.
 *
 * @param key The key.
 * @returns One line for each trouble; none for most keys.
 */
export function recordKeyWarnings(key: RecordKey): string[] {
  const warnings: string[] = []
  for (const part of PARTS) {
    if (key[part].includes(' ')) {
      warnings.push(`${part} holds a space: VerneMQ splits its Redis command there and never finds the record`)
    }
    if (!key[part].isWellFormed()) {
      warnings.push(`${part} holds an unpaired surrogate: no MQTT client can send it`)
    }
  }
  return warnings
}
