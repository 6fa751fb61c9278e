import { RecordInvalid } from '../errors.js'
import { readRecord } from './members.js'
import { checkLimits, Place, Reading, type RecordLimits } from './place.js'
import type { AclRecord } from './types.js'

/**
 * Judges a record that a program hands over, strictly, and gives a canonical copy of it.
 *
 * Lists that are left out are empty, and so allow nothing. Names of JSON are refused with the name to use instead,
 * since a limit under a wrong name would limit nothing. Members that are `undefined` count as left out; inherited
 * members do not count. The object given is neither changed nor frozen, and each of its members is read once.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/record`.
 *
 * @example
 * ```ts
 * validateRecord({ passhash, publishAcl: [{ pattern: 'a/#', max_qos: 1 }] })
 * // throws RecordInvalid: publishAcl[0].max_qos: use maxQos
 * ```
 *
 * @param record What should be an `AclRecord`.
 * @returns The copy, frozen through and through.
 * @throws RecordInvalid (`ERR_RECORD_INVALID`), whatever the getters of the object throw; its `path` names the place in
 * the names of the program.
 * @throws TypeError for a limit out of range, and for a name that is no limit.
 */
export function validateRecord(record: unknown, limits: RecordLimits = {}): AclRecord {
  const reading = new Reading('name', 'strict', checkLimits(limits, 'validateRecord'))
  try {
    return readRecord(record, new Place(reading))
  } catch (error) {
    if (reading.failure !== undefined && error === reading.failure) throw error
    throw new RecordInvalid('', 'cannot be read', { cause: error })
  }
}
