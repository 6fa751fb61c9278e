import type { AclRule, Allowed, Denied, DenyReason, MissedLimit, PublishRule } from './types.js'

/** Highest payload size a rule can name, in bytes: the largest packet MQTT can carry (VerneMQ has the same bound). */
export const MAX_PAYLOAD_SIZE = 268_435_456

/** Stands for a payload size that nobody told. */
export const UNKNOWN_SIZE = -1

/** A rule made ready for deciding: defaults filled in, and every answer that names it prepared once and shared. */
export class CompiledRule {
  /** Position in the array of the ACL: the lower wins. */
  readonly index: number
  readonly rule: AclRule
  readonly maxQos: number
  readonly maxPayloadSize: number
  /** Whether a payload of unknown size may exceed a limit of this rule. */
  readonly needsSize: boolean
  readonly allowedRetain: boolean
  readonly allowed: Allowed
  #near: Denied | undefined
  readonly #missed: Partial<Record<MissedLimit, Denied>> = {}

  constructor(rule: AclRule, index: number, unknownSizeFits: boolean) {
    const { maxQos = 2, maxPayloadSize, allowedRetain = true } = rule as PublishRule
    this.index = index
    this.rule = rule
    this.maxQos = maxQos
    this.maxPayloadSize = maxPayloadSize ?? MAX_PAYLOAD_SIZE
    this.needsSize = maxPayloadSize !== undefined && !unknownSizeFits
    this.allowedRetain = allowedRetain
    this.allowed = Object.freeze({ allow: true, rule })
  }

  /** The limit that keeps the rule from fitting, in the order QoS, payload size, retain; `undefined` when it fits. */
  missedLimit(qos: number, payloadSize: number, retain: boolean): MissedLimit | undefined {
    if (qos > this.maxQos) return 'max_qos'
    if (payloadSize === UNKNOWN_SIZE) {
      if (this.needsSize) return 'payload_size_unknown'
    } else if (payloadSize > this.maxPayloadSize) return 'max_payload_size'
    return retain && !this.allowedRetain ? 'retain' : undefined
  }

  /** The refusal that names this rule as the nearest, with the limit it missed if its pattern fits. */
  denied(missed?: MissedLimit): Denied {
    if (missed === undefined) {
      this.#near ??= Object.freeze({ allow: false, reason: 'no_matching_rule', nearest: this.rule })
      return this.#near
    }
    this.#missed[missed] ??= Object.freeze({ allow: false, reason: 'no_matching_rule', nearest: this.rule, missed })
    return this.#missed[missed]
  }
}

const bare = new Map<DenyReason, Denied>()

/** The refusal for a reason that names no rule; one frozen object per reason. */
export function denied(reason: DenyReason): Denied {
  let decision = bare.get(reason)
  if (decision === undefined) {
    decision = Object.freeze({ allow: false, reason })
    bare.set(reason, decision)
  }
  return decision
}
