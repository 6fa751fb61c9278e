import type { SubscribeTarget } from '../acl/types.js'
import { itemsOf, readFields, readObject, type Table, tableOf, writeFields } from './fields.js'
import { filter, flag, type Kind, oneOf } from './kinds.js'
import { asLua, isTable, luaMembers } from './lua.js'
import type { Place } from './place.js'
import type { JsonValue } from './types.js'

type Grant = SubscribeTarget['qos']
type SubscribeOptions = Omit<SubscribeTarget, 'filter' | 'qos'>

/** QoS to grant. VerneMQ answers any other integer with a refusal. */
const grant: Kind<Grant> = {
  read: (value, at) => (isGrant(value) ? ((value + 0) as Grant) : at.fail('must be 0, 1, 2 or 128')),
  lenient(value, at) {
    if (isGrant(value)) return (value + 0) as Grant
    return Number.isInteger(value) ? 128 : at.fail('must be an integer')
  },
}

function isGrant(value: unknown): value is Grant {
  return value === 0 || value === 1 || value === 2 || value === 128
}

const OPTIONS: Table<SubscribeOptions> = tableOf<SubscribeOptions>({
  noLocal: { wire: 'no_local', ...flag },
  retainAsPublished: { wire: 'rap', ...flag },
  retainHandling: { wire: 'retain_handling', ...oneOf(['send_retain', 'send_if_new_sub', 'dont_send']) },
})

// In JSON a target is no object but an array; only its options go by name there.
const TARGET: Table<SubscribeTarget> = tableOf<SubscribeTarget>({
  filter: { wire: 'filter', ...filter, absent: isMissing },
  qos: { wire: 'qos', ...grant, absent: isMissing },
  ...OPTIONS.fields,
})

function isMissing(at: Place): never {
  return at.fail('is missing')
}

/**
 * The filters a subscribe rule puts in place of the requested one. As many as there are become codes of the SUBACK, so
 * anything but one makes a malformed packet.
 */
export const subscribeModifiers: Kind<readonly SubscribeTarget[]> = {
  read(value, at) {
    const items = itemsOf(value, at)
    if (items.length !== 1) at.fail(`must hold exactly one filter, since VerneMQ's SUBACK gets one code for each`)
    return Object.freeze(items.map((item, index) => readTarget(item, at.at(index))))
  },
  lenient(value, at) {
    // An empty object and an empty array are the same table.
    if (!isTable(value) || (!Array.isArray(value) && Object.keys(value).length > 0)) return at.fail('must be an array')
    // All are looked at first: one of the wrong shape fails the script, whatever else would be dropped.
    const targets = Object.values(value).map((item, index) => readTargetLeniently(item, at.at(index)))
    return targets.every(target => target !== undefined) ? Object.freeze(targets) : undefined
  },
}

/** Gives the JSON form of {@link subscribeModifiers}. */
export function writeSubscribeModifiers(targets: readonly SubscribeTarget[]): JsonValue {
  return targets.map(target => {
    const options = writeFields(target, OPTIONS)
    return [target.filter, options.length === 0 ? target.qos : [target.qos, Object.fromEntries(options)]]
  })
}

function readTarget(value: unknown, at: Place): SubscribeTarget {
  const isWire = at.reading.spelling === 'wire'
  const target = isWire ? readWireTarget(value, at) : readObject<SubscribeTarget>(value, TARGET, at)
  if (target.qos === 128 && writeFields(target, OPTIONS).length > 0) at.fail('has options beside a refusal (128)')
  return target
}

/** Reads `[filter, qos]` or `[filter, [qos, { no_local, rap, retain_handling }]]`. */
function readWireTarget(value: unknown, at: Place): SubscribeTarget {
  const [topic, second] = pairOf(value, '[filter, qos]', at)
  const grantAt = at.at(1)
  if (!Array.isArray(second)) {
    return Object.freeze({ filter: filter.read(topic, at.at(0)), qos: grant.read(second, grantAt) })
  }
  const [qos, options] = pairOf(second, '[qos, options]', grantAt)
  return Object.freeze({
    filter: filter.read(topic, at.at(0)),
    qos: grant.read(qos, grantAt.at(0)),
    ...readObject(options, OPTIONS, grantAt.at(1)),
  })
}

function pairOf(value: unknown, form: string, at: Place): readonly unknown[] {
  const pair = Array.isArray(value) ? itemsOf(value, at) : []
  return pair.length === 2 ? pair : at.fail(`must be ${form}`)
}

/**
 * What VerneMQ makes of one pair: of the wrong shape it fails the script; of the right shape with a filter or a QoS it
 * cannot use (`undefined` here) it drops all pairs, and the rule grants what was asked for. Options it cannot use are
 * left out.
 */
function readTargetLeniently(value: unknown, at: Place): SubscribeTarget | undefined {
  const [topic, second] = pairOf(value, '[filter, qos]', at)
  const isLong = Array.isArray(second) && second.length === 2
  const qos = asLua(isLong ? second[0] : second, at)
  const options: unknown = isLong ? second[1] : {}
  if (!isTable(options)) return at.at(1).at(1).fail('must be an object')
  const known = filter.lenient(asLua(topic, at), at)
  if (known === undefined || typeof qos !== 'number') return undefined
  return Object.freeze({
    filter: known,
    qos: grant.lenient(qos, at.at(1))!,
    ...readFields(luaMembers(options, at), OPTIONS, at, 'lenient'),
  })
}
