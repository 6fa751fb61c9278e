import type { Semantics } from '../acl/types.js'
import { decodeValue, parseJson } from './json.js'
import { readRecord } from './members.js'
import { checkLimits, Place, Reading, type RecordLimits } from './place.js'
import type { AclRecord } from './types.js'

/** Options of {@link parseRecord}. */
export interface ParseOptions extends RecordLimits {
  /**
   * `strict` refuses what it does not understand; `vernemq` reads what a VerneMQ node reads, its leniency included.
   *
   * @default 'strict'
   */
  readonly semantics?: Semantics
}

const NAMES: ReadonlySet<string> = new Set(['semantics', 'maxBytes', 'maxRules'])

/**
 * Reads a stored record: the JSON object that VerneMQ's Redis authentication keeps.
 *
 * `strict` takes a member for what it says or refuses the record: an unknown member of a rule, a limit out of range, a
 * pattern that is no filter, a name that stands there twice. Members of the record itself that it does not know are
 * kept in `extra`, as numbers of JavaScript where they are numbers.
 *
 * `vernemq` takes the record as VerneMQ does: of a name that stands there twice the last counts, a limit it cannot use
 * does not limit, a rule without a pattern is dropped, modifiers it cannot use are dropped while the rule still grants.
 * What fails VerneMQ's script, and with it the login, is refused. Three things differ: text that is no JSON by RFC 8259
 * (comments, trailing commas) is refused, the limits of size and nesting hold, and `expires_at`, which VerneMQ ignores,
 * counts, so that one that cannot be read refuses the record.
 *
 * The result is canonical: lists that are absent are empty, limits that limit nothing (`max_qos` 2, `max_payload_size`
 * 268435456, `allowed_retain` true) and empty modifiers are left out.
 *
 * > [!WARNING]
 * > VerneMQ's leniency opens limits: under `vernemq`, `"max_qos": "0"` allows QoS 2.
 *
 * Cost is linear in the size; nesting deeper than 32 levels is refused.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/record`.
 *
 * @example
 * ```ts
 * const record = parseRecord('{"passhash":"$2a$10$…","publish_acl":[{"pattern":"plant/%c/#","max_qos":1}]}')
 * record.publishAcl[0] // { pattern: 'plant/%c/#', maxQos: 1 }
 * parseRecord('{"passhash":"$2a$10$…","publish_acl":[{"pattern":"a","max_qos":3}]}')
 * // throws RecordInvalid: publish_acl[0].max_qos: must be 0, 1 or 2
 * ```
 *
 * @param value JSON text, or its bytes in UTF-8.
 * @returns The record, frozen through and through.
 * @throws RecordInvalid (`ERR_RECORD_INVALID`); its `path` names the place in the names of JSON.
 * @throws TypeError for bad options.
 */
export function parseRecord(value: string | Uint8Array, options: ParseOptions = {}): AclRecord {
  const limits = checkLimits(options, 'parseRecord', NAMES)
  const { semantics = 'strict' } = options
  if (semantics !== 'strict' && semantics !== 'vernemq') {
    throw new TypeError("\"semantics\" option must be 'strict' or 'vernemq'")
  }
  const text = decodeValue(value, limits.maxBytes, semantics === 'vernemq')
  const json = parseJson(text, semantics === 'strict')
  return readRecord(json, new Place(new Reading('wire', semantics, limits)))
}
