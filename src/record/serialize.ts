import { RecordInvalid } from '../errors.js'
import { utf8Length } from './json.js'
import { writeRecord } from './members.js'
import { checkLimits, type RecordLimits, tooLarge } from './place.js'
import type { AclRecord } from './types.js'
import { validateRecord } from './validate.js'

/**
 * Writes a record as the JSON that VerneMQ's Redis authentication reads.
 *
 * The record is validated first. Members come in the order `passhash`, `subscribe_acl`, `publish_acl`, `expires_at`,
 * then those of `extra` in their order. Both lists are always there, and limits that limit nothing are left out, so
 * nothing depends on VerneMQ's leniency. Equal records give equal text; parsing the text gives an equal record.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/record`.
 *
 * @param record The record to write.
 * @returns One line of JSON.
 * @throws RecordInvalid (`ERR_RECORD_INVALID`) as `validateRecord` does, and for a text larger than `maxBytes`, which
 * nobody with the same limit could read back.
 * @throws TypeError for a limit out of range, and for a name that is no limit.
 */
export function serializeRecord(record: AclRecord, limits: RecordLimits = {}): string {
  const { maxBytes } = checkLimits(limits, 'serializeRecord')
  const members = writeRecord(validateRecord(record, limits))
  // Joined by hand: as members of one object, names like `7` would come before all others.
  const text = `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
  if (utf8Length(text) > maxBytes) throw new RecordInvalid('', tooLarge(maxBytes))
  return text
}
