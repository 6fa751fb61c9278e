import type {
  AclRule,
  Allowed,
  Denied,
  DenyReason,
  MissedLimit,
  PublishFacts,
  PublishRule,
  Qos,
  SubscribeFacts,
} from './types.js'

/** Highest payload size a rule can name, in bytes: the largest packet MQTT can carry (VerneMQ has the same bound). */
export const MAX_PAYLOAD_SIZE = 268_435_456

/** Stands for a payload size that nobody told. */
export const UNKNOWN_SIZE = -1

/** What a request asks of the limits of rules. */
export interface Demand {
  readonly qos: number
  /** Bytes, or {@link UNKNOWN_SIZE}. */
  readonly payloadSize: number
  readonly retain: boolean
}

/** A demand that every rule for subscriptions meets. */
export const NO_DEMAND: Demand = { qos: 0, payloadSize: UNKNOWN_SIZE, retain: false }

/**
 * What a request to publish asks. Anything but a QoS that MQTT knows asks more than any rule grants, and so does a
 * payload size that is none. Small integers stand for both: V8 keeps them in place.
 */
export function publishDemand(facts: PublishFacts | undefined): Demand {
  const size = facts?.payloadSize
  const retain = facts?.retain !== undefined && facts.retain !== false
  return { qos: checkedQos(facts?.qos), payloadSize: size === undefined ? UNKNOWN_SIZE : checkedSize(size), retain }
}

/** What a request to subscribe asks. */
export function subscribeDemand(facts: SubscribeFacts | undefined): Demand {
  return { qos: checkedQos(facts?.qos), payloadSize: UNKNOWN_SIZE, retain: false }
}

function checkedQos(qos: Qos | undefined): number {
  return qos === undefined ? 0 : qos === 0 || qos === 1 || qos === 2 ? qos : 3
}

function checkedSize(size: number): number {
  return typeof size === 'number' && size >= 0 && size <= MAX_PAYLOAD_SIZE ? size : MAX_PAYLOAD_SIZE + 1
}

/** The limits of a rule, defaults filled in. */
interface Limits {
  readonly maxQos: number
  readonly maxPayloadSize: number
  /** Whether a payload of unknown size may exceed a limit of the rule. */
  readonly needsSize: boolean
  readonly allowedRetain: boolean
}

const UNLIMITED: Limits = { maxQos: 2, maxPayloadSize: MAX_PAYLOAD_SIZE, needsSize: false, allowedRetain: true }

/**
 * The rules of one list by their positions in it: their limits, and every answer that names one of them, made when
 * first given and shared from then on. Keeps nothing for a rule that has no limits and gave no answer.
 */
export class RuleList {
  readonly rules: readonly AclRule[]
  /** Of the rules that have any; left out where none has. */
  readonly #limits: (Limits | undefined)[] | undefined
  #allowed: (Allowed | undefined)[] | undefined = undefined
  #denied: Map<number, Denied> | undefined = undefined

  constructor(rules: readonly AclRule[], unknownSizeFits: boolean) {
    this.rules = rules
    const limits = rules.map(rule => limitsOf(rule, unknownSizeFits))
    this.#limits = limits.some(one => one !== undefined) ? limits : undefined
  }

  get hasLimits(): boolean {
    return this.#limits !== undefined
  }

  /** The limit that keeps a rule from fitting, in the order QoS, payload size, retain; `undefined` when it fits. */
  missedLimit(index: number, { qos, payloadSize, retain }: Demand): MissedLimit | undefined {
    const limits = (this.#limits !== undefined ? this.#limits[index] : undefined) ?? UNLIMITED
    if (qos > limits.maxQos) return 'max_qos'
    if (payloadSize === UNKNOWN_SIZE) {
      if (limits.needsSize) return 'payload_size_unknown'
    } else if (payloadSize > limits.maxPayloadSize) return 'max_payload_size'
    return retain && !limits.allowedRetain ? 'retain' : undefined
  }

  /** The grant of a rule. */
  allowed(index: number): Allowed {
    this.#allowed ??= new Array(this.rules.length)
    const made = this.#allowed[index]
    if (made !== undefined) return made
    const allowed: Allowed = Object.freeze({ allow: true, rule: this.rules[index]! })
    this.#allowed[index] = allowed
    return allowed
  }

  /** The refusal that names a rule as the nearest, with the limit it missed if its pattern fits. */
  denied(index: number, missed?: MissedLimit): Denied {
    const key = index * MISSED.length + MISSED.indexOf(missed)
    this.#denied ??= new Map()
    let denied = this.#denied.get(key)
    if (denied === undefined) {
      const nearest = this.rules[index]!
      denied = Object.freeze({ allow: false, reason: 'no_matching_rule', nearest, ...(missed && { missed }) })
      this.#denied.set(key, denied)
    }
    return denied
  }
}

const MISSED: readonly (MissedLimit | undefined)[] = [
  undefined,
  'max_qos',
  'max_payload_size',
  'payload_size_unknown',
  'retain',
]

function limitsOf(rule: AclRule, unknownSizeFits: boolean): Limits | undefined {
  const { maxQos = 2, maxPayloadSize, allowedRetain = true } = rule as PublishRule
  if (maxQos === 2 && maxPayloadSize === undefined && allowedRetain) return undefined
  const needsSize = maxPayloadSize !== undefined && !unknownSizeFits
  return { maxQos, maxPayloadSize: maxPayloadSize ?? MAX_PAYLOAD_SIZE, needsSize, allowedRetain }
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
