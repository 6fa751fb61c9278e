import type { Principal, PublishRule, Qos, SubscribeRule } from '../acl/types.js'
import type { Access } from '../authorizer/types.js'

/** One rule as the answer to a login of EMQX holds it. There are none that deny: what no rule fits, EMQX asks for. */
export interface EmqxRule {
  readonly permission: 'allow'
  readonly action: 'publish' | 'subscribe'
  readonly topic: string
  readonly qos: readonly Qos[]
  readonly retain?: 'all' | false
}

/**
 * Levels that EMQX lets through by default; rules that reach deeper than the record's own limit must not be handed on.
 */
const EMQX_MAX_LEVELS = 128

/**
 * The rules of a record that EMQX reads exactly as they are meant, and no others.
 *
 * EMQX compares a filter with a rule as text, so that `a/+` would admit `a/#`: subscriptions are allowed word for word
 * (`eq `). Limits on the payload, and modifiers, it does not know; where one rule rewrites, none of its kind is handed
 * on, since which of several fits first would count.
 */
export function emqxRules({ compiled, principal }: Access): readonly EmqxRule[] {
  const { acl, maxLevels } = compiled
  const rules: EmqxRule[] = []
  const isPlain = ({ modifiers }: PublishRule | SubscribeRule) => modifiers === undefined
  if (acl.publishAcl.every(isPlain)) {
    for (const { pattern, maxQos, maxPayloadSize, allowedRetain } of acl.publishAcl) {
      const topic = maxPayloadSize === undefined ? expand(pattern, principal, maxLevels) : undefined
      if (topic === undefined) continue
      const retain = allowedRetain === false ? false : 'all'
      rules.push({ permission: 'allow', action: 'publish', topic, qos: upTo(maxQos), retain })
    }
  }
  if (acl.subscribeAcl.every(isPlain)) {
    for (const { pattern, maxQos } of acl.subscribeAcl) {
      const filter = expand(pattern, principal, maxLevels)
      if (filter === undefined) continue
      rules.push({ permission: 'allow', action: 'subscribe', topic: `eq ${filter}`, qos: upTo(maxQos) })
    }
  }
  return rules
}

function upTo(maxQos: Qos = 2): readonly Qos[] {
  return ([0, 1, 2] as const).filter(qos => qos <= maxQos)
}

/** The pattern with its variables filled in; `undefined` where EMQX would read something else into it. */
function expand(pattern: string, { mountpoint, clientId, username }: Principal, maxLevels: number): string | undefined {
  const values = new Map([
    ['%m', mountpoint],
    ['%c', clientId],
    ['%u', username],
  ])
  const levels = pattern.split('/')
  const reach = levels.at(-1) === '#' ? EMQX_MAX_LEVELS : levels.length
  if (reach > maxLevels) return undefined
  for (const [index, level] of levels.entries()) {
    const value = values.get(level)
    if (value === undefined) continue
    if (value === '' || /[/+#]/.test(value) || values.has(value)) return undefined
    levels[index] = value
  }
  const topic = levels.join('/')
  // `$…` are names of the broker's own, `${…}` its variables, and `eq ` is how it marks literal text.
  return topic.startsWith('$') || topic.includes('${') || topic.startsWith('eq ') ? undefined : topic
}
