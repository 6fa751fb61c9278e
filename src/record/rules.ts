import type { PublishRule, SubscribeRule } from '../acl/types.js'
import { type Field, isEmpty, itemsOf, readFields, readObject, type Table, tableOf, writeObject } from './fields.js'
import { flag, type Kind, MAX_PAYLOAD_BYTES, maxQos, pattern, payloadSize } from './kinds.js'
import { isTable, luaMembers } from './lua.js'
import { publishModifiers, writePublishModifiers } from './modifiers.js'
import type { Place } from './place.js'
import { subscribeModifiers, writeSubscribeModifiers } from './targets.js'
import type { JsonValue } from './types.js'

// Limits that limit nothing are left out of the canonical form, so that equal rights make equal records.
const PATTERN: Field<string> = {
  wire: 'pattern',
  ...pattern,
  // VerneMQ keeps a rule without a pattern, and never matches it.
  absent: at => (at.reading.semantics === 'strict' ? at.fail('is missing') : undefined),
}
const MAX_QOS: Field<0 | 1 | 2> = { wire: 'max_qos', ...maxQos, omits: value => value === 2 }

const PUBLISH_RULE: Table<PublishRule> = tableOf<PublishRule>({
  pattern: PATTERN,
  maxQos: MAX_QOS,
  maxPayloadSize: { wire: 'max_payload_size', ...payloadSize, omits: value => value === MAX_PAYLOAD_BYTES },
  allowedRetain: { wire: 'allowed_retain', ...flag, omits: value => value },
  modifiers: { wire: 'modifiers', ...publishModifiers, omits: isEmpty, write: writePublishModifiers },
})

const SUBSCRIBE_RULE: Table<SubscribeRule> = tableOf<SubscribeRule>({
  pattern: PATTERN,
  maxQos: MAX_QOS,
  modifiers: { wire: 'modifiers', ...subscribeModifiers, write: writeSubscribeModifiers },
})

/** A list of rules, and its JSON form. */
interface RuleList<R> extends Kind<readonly R[]> {
  readonly write: (rules: readonly R[]) => JsonValue
}

/** The rules of `publish_acl`. */
export const publishRules: RuleList<PublishRule> = ruleList(PUBLISH_RULE)

/** The rules of `subscribe_acl`. */
export const subscribeRules: RuleList<SubscribeRule> = ruleList(SUBSCRIBE_RULE)

function ruleList<R extends object>(table: Table<R>): RuleList<R> {
  return {
    read(value, at) {
      return Object.freeze(rulesOf(value, at).map((item, index) => readObject(item, table, at.at(index))))
    },
    lenient(value, at) {
      if (isTable(value) && !Array.isArray(value) && isEmpty(value)) return Object.freeze([])
      const rules = rulesOf(value, at).map((item, index) => readLeniently(item, table, at.at(index)))
      return Object.freeze(rules.filter(rule => rule !== undefined))
    },
    write: rules => rules.map(rule => writeObject(rule, table)),
  }
}

function rulesOf(value: unknown, at: Place): readonly unknown[] {
  const rules = itemsOf(value, at)
  at.reading.takeRules(rules.length, at)
  return rules
}

/**
 * Takes a rule as VerneMQ does: limits it cannot use do not limit, scalars it does not know are nothing to it, and an
 * array or object where it expects a scalar fails its script. `undefined` for a rule without a pattern, which never
 * matches.
 */
function readLeniently<R>(value: unknown, table: Table<R>, at: Place): R | undefined {
  if (!isTable(value) || (Array.isArray(value) && value.length > 0)) return at.fail('must be an object')
  const members = luaMembers(value, at)
  for (const [name, member] of members) {
    if (name !== 'modifiers' && isTable(member)) at.at(name).fail('must not be an array or object')
  }
  const rule = readFields(members, table, at, 'lenient')
  return 'pattern' in (rule as object) ? rule : undefined
}
