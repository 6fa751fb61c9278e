import { quote } from '../errors.js'
import {
  type Field,
  isEmpty,
  likelyMeant,
  type Members,
  membersOf,
  readFields,
  tableOf,
  unknownMember,
  writeFields,
} from './fields.js'
import { copyJson } from './json.js'
import { integer } from './kinds.js'
import { type Place, pathOf } from './place.js'
import { publishRules, subscribeRules } from './rules.js'
import type { AclRecord, JsonValue } from './types.js'

type OwnMembers = Omit<AclRecord, 'extra'>
type Extra = NonNullable<AclRecord['extra']>

/** Unix seconds of the last moment that a `Date` can hold. */
const LAST_SECOND = 8_640_000_000_000

const PASSHASH: Field<string> = {
  wire: 'passhash',
  read(value, at) {
    if (typeof value !== 'string') return at.fail('must be a string')
    at.reading.take(value.length, at)
    return value === '' ? at.fail('must not be empty') : value
  },
  lenient: (value, at) => (typeof value === 'string' ? value : at.fail('must be a string')),
  absent: at => at.fail('is missing'),
}

// VerneMQ does not know this one. A moment that cannot be read must never come to mean that the record does not end.
const EXPIRES_AT: Field<number> = {
  wire: 'expires_at',
  read: integer(LAST_SECOND),
  lenient: (value, at) => (value === null ? undefined : integer(LAST_SECOND)(value, at)),
}

const NO_RULES: readonly never[] = Object.freeze([])

const RECORD = tableOf<OwnMembers>({
  passhash: PASSHASH,
  subscribeAcl: { wire: 'subscribe_acl', ...subscribeRules, absent: () => NO_RULES },
  publishAcl: { wire: 'publish_acl', ...publishRules, absent: () => NO_RULES },
  expiresAt: EXPIRES_AT,
})

/**
 * Reads a record, spelt as its `reading` says. The result is canonical and frozen through and through: lists that are
 * absent are empty, limits that limit nothing are left out, and nothing is shared with `value`.
 */
export function readRecord(value: unknown, at: Place): AclRecord {
  const members = membersOf(value, at)
  const { spelling, semantics } = at.reading
  const extra = spelling === 'wire' ? wireExtra(members, at) : programExtra(members, at)
  const own = readFields(members, RECORD, at, semantics === 'strict' ? 'read' : 'lenient')
  return isEmpty(extra) ? own : Object.freeze({ ...own, extra })
}

/** Gives the members of a canonical record as they stand in JSON. */
export function writeRecord(record: AclRecord): [name: string, value: JsonValue][] {
  return [...writeFields<OwnMembers>(record, RECORD), ...Object.entries(record.extra ?? {})]
}

/**
 * Tells which members that are kept for others look like a misspelt one of the record's own (`expire_at` ends nothing),
 * and where the first number among them stands that may have been another one in the text it was read from.
 *
 * @returns One line for each.
 */
export function recordWarnings({ extra = {} }: AclRecord): string[] {
  const misspelt = Object.keys(extra).flatMap(name => {
    const meant = likelyMeant(name, RECORD, 'wire')
    return meant === undefined ? [] : [`${quote(name)} means nothing to anybody: did you mean ${meant}?`]
  })
  const steps = pathToRounded(extra)
  if (steps === undefined) return misspelt
  return [...misspelt, `${pathOf(steps)} is beyond 9007199254740991 and may have lost digits: keep it as text`]
}

/** Leads to the first integer that JavaScript does not tell from its neighbours, such as an id of 64 bits. */
function pathToRounded(value: JsonValue): (string | number)[] | undefined {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value) ? [] : undefined
  if (typeof value !== 'object' || value === null) return undefined
  const step = Array.isArray(value) ? Number : String
  for (const [name, member] of Object.entries(value)) {
    const rest = pathToRounded(member)
    if (rest !== undefined) return [step(name), ...rest]
  }
  return undefined
}

/** In JSON, every member that is not the record's own is extra. */
function wireExtra(members: Members, at: Place): Extra {
  const extra: [string, JsonValue][] = []
  for (const [name, value] of members) {
    if (RECORD.rows.some(({ wire }) => wire === name)) continue
    // VerneMQ would not read it, and deny everything that the list allows.
    const isTwin = RECORD.rows.some(row => row.name === name)
    if (isTwin && at.reading.semantics === 'strict') at.at(name).fail(unknownMember(name, RECORD, 'wire'))
    extra.push([name, copyJson(value, at.at(name), 2)])
  }
  return Object.freeze(Object.fromEntries(extra))
}

/** In a program, what is extra is told apart, and may not take the place of a member of the record's own. */
function programExtra(members: Members, at: Place): Extra {
  for (const name of members.keys()) {
    if (name === 'extra' || RECORD.rows.some(row => row.name === name)) continue
    const twin = RECORD.rows.find(({ wire }) => wire === name)
    if (twin !== undefined) at.at(name).fail(`use parseRecord() or ${twin.name}`)
    at.at(name).fail(`${unknownMember(name, RECORD, 'name')}; put members of your own into extra`)
  }
  const place = at.at('extra')
  const extra = copyJson(members.has('extra') ? members.get('extra') : {}, place, 1)
  if (typeof extra !== 'object' || extra === null || Array.isArray(extra)) return place.fail('must be an object')
  for (const name of Object.keys(extra)) {
    const owner = RECORD.rows.find(row => row.name === name || row.wire === name)
    if (owner !== undefined) place.at(name).fail(`use ${owner.name} of the record`)
  }
  return extra as Extra
}
