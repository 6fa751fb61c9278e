import { reasons } from '../acl/reasons.js'
import type { AclRule, Action, MissedLimit, PublishRule } from '../acl/types.js'
import { quote } from '../errors.js'
import { encodeRecordKey } from '../record/key.js'
import type { RecordKey } from '../record/types.js'
import type { DeniedEvent, LoopEvent, TakeoverEvent } from './events.js'

const VERBS = { connect: 'connect', publish: 'publish to', subscribe: 'subscribe to', receive: 'receive' } as const

/** Longest part of a key in a message. */
const MAX_PART = 64

/**
 * Says a refusal in one line for a log: who, what, why, and the nearest rule. Text that a client chose is quoted, so
 * that it cannot forge lines.
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
  const who = `client ${quoteAny(principal.clientId)} (user ${quoteAny(principal.username)})`
  const where = address === undefined ? '' : ` from ${quoteAny(address)}`
  const what = subject === undefined ? VERBS[action] : describeRequest(action, subject)
  const parts = [`${who}${where} may not ${what}: ${decision.reason}, ${reasons[decision.reason].text}`]
  if (detail !== undefined) parts.push(detail)
  if (decision.nearest !== undefined) parts.push(describeNearest(decision.nearest, decision.missed))
  if (suppressed > 0) parts.push(`${suppressed} more refusals not shown`)
  return parts.join('; ')
}

/**
 * Says a loop in one line for a log. Text that a client chose is quoted.
 *
 * Exported from `mqtt-warden`.
 *
 * @example
 * ```ts
 * authorizer.on('loop', event => console.warn(describeLoop(event)))
 * // client "1528361231" (user "101") is connected twice and evicts itself: 5 times in 4.2 s, from "10.0.0.1" and "10.0.0.2"
 * ```
 */
export function describeLoop(event: LoopEvent): string {
  const { principal, kind, action, topic, filter, decision, count, sinceMs, addresses } = event
  const who = `client ${quoteAny(principal.clientId)} (user ${quoteAny(principal.username)})`
  const where = addresses.length === 0 ? '' : `, from ${addresses.map(quoteAny).join(' and ')}`
  const times = `${count} times in ${(sinceMs / 1_000).toFixed(1)} s${where}`
  if (kind === 'takeover' || decision === undefined || action === undefined) {
    return `${who} is connected twice and evicts itself: ${times}`
  }
  const subject = topic ?? filter
  const what = subject === undefined ? VERBS[action] : `${VERBS[action]} ${quoteAny(subject)}`
  const nearest = decision.nearest === undefined ? '' : `; ${describeNearest(decision.nearest, decision.missed)}`
  const why = `${decision.reason}, ${reasons[decision.reason].text}${nearest}`
  return `${who} comes back again and again, and may not ${what}: ${why}; ${times}`
}

/**
 * Says in one line for a log who took a client id from whom. Text that a client chose is quoted.
 *
 * Exported from `mqtt-warden`.
 *
 * @example
 * ```ts
 * authorizer.on('takeover', event => console.warn(describeTakeover(event)))
 * // client "1528361231" (user "101") from "10.0.0.2" on node "gw-2.117.90ac" took over from "10.0.0.1" on node "gw-1.4242.5b0f"
 * ```
 */
export function describeTakeover({ principal, former, addresses, nodes }: TakeoverEvent): string {
  const place = (at: 0 | 1): readonly string[] => {
    const node = nodes[at] === undefined ? [] : [`node ${quoteAny(nodes[at])}`]
    const parts = addresses[at] === undefined ? node : [quoteAny(addresses[at]), ...node]
    return parts.length === 0 ? [] : [parts.join(' on ')]
  }
  const isSame = former.mountpoint === principal.mountpoint && former.username === principal.username
  const from = [...(isSame ? [] : [`user ${quoteAny(former.username)}`]), ...place(0)].join(', ')
  const who = [`client ${quoteAny(principal.clientId)} (user ${quoteAny(principal.username)})`, ...place(1)].join(
    ' from ',
  )
  return `${who} took over${from === '' ? '' : ` from ${from}`}`
}

/** Names a record in a message: the text of its key, long parts cut. JSON, so that no part of it can forge lines. */
export function describeKey({ mountpoint, clientId, username }: RecordKey): string {
  return encodeRecordKey({ mountpoint: cut(mountpoint), clientId: cut(clientId), username: cut(username) })
}

/** Quotes what should be text and may come unchecked from a client. */
function quoteAny(value: unknown): string {
  return typeof value === 'string' ? quote(value) : `(${value === null ? 'null' : typeof value})`
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

function describeRequest(action: Action, subject: string): string {
  return action === 'connect' ? `connect with a will on ${quoteAny(subject)}` : `${VERBS[action]} ${quoteAny(subject)}`
}

function cut(text: string): string {
  return text.length > MAX_PART ? `${text.slice(0, MAX_PART - 1)}…` : text
}
