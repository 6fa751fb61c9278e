import { reasons } from '../acl/reasons.js'
import type { AclRule, MissedLimit, PublishRule } from '../acl/types.js'
import { quote } from '../errors.js'
import type { DeniedEvent } from './types.js'

const VERBS = { connect: 'connect', publish: 'publish to', subscribe: 'subscribe to', receive: 'receive' } as const

/**
 * Says a refusal in one line for a log: who, what, why, and the nearest rule. Text that a client chose is quoted, so that
 * it cannot forge lines.
 *
 * Exported from `mqtt-warden`.
 *
 * @example
 * ```ts
 * authorizer.on('denied', event => console.warn(describeDenial(event)))
 * // client "1528361747" (user "102") may not publish to "say": no_matching_rule, no rule allows it; nearest: "hello"
 * ```
 */
export function describeDenial(event: DeniedEvent): string {
  const { principal, action, topic, filter, decision, detail, address, suppressed } = event
  const subject = topic ?? filter
  const who = `client ${quote(String(principal.clientId))} (user ${quote(String(principal.username))})`
  const what = `${VERBS[action]}${subject === undefined ? '' : ` ${quote(String(subject))}`}`
  const parts = [
    `${who}${address === undefined ? '' : ` from ${quote(address)}`} may not ${what}: ${decision.reason}, ${reasons[decision.reason].text}`,
  ]
  if (detail !== undefined) parts.push(detail)
  if (decision.nearest !== undefined) parts.push(describeNearest(decision.nearest, decision.missed))
  if (suppressed > 0) parts.push(`${suppressed} more refusals not shown`)
  return parts.join('; ')
}

/** Says which rule came nearest and what it missed: `nearest: "say" misses max_qos 0`. */
export function describeNearest(rule: AclRule, missed: MissedLimit | undefined): string {
  const limits = rule as PublishRule
  const values: Record<MissedLimit, string> = {
    max_qos: `max_qos ${limits.maxQos}`,
    max_payload_size: `max_payload_size ${limits.maxPayloadSize}`,
    payload_size_unknown: `max_payload_size ${limits.maxPayloadSize}, and the size is not known`,
    retain: 'allowed_retain false',
  }
  return `nearest: ${quote(rule.pattern)}${missed === undefined ? '' : ` misses ${values[missed]}`}`
}
