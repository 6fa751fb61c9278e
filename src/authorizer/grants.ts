import type { CompiledAcl } from '../acl/compile.js'
import { filterMatchesTopic } from '../acl/match.js'
import { MAX_PAYLOAD_SIZE } from '../acl/rule.js'
import type { Allowed, PublishFacts, SubscribeRule } from '../acl/types.js'

/** Longest topic name that is remembered, in characters. */
const MAX_REMEMBERED = 256

/**
 * What the rules in force have allowed a session. Devices say and hear the same topic names over and over: the last of
 * each is compared before the rules are asked, and nothing grows with the names seen.
 */
export class Grants {
  #published: string | undefined
  #publishing: Allowed | undefined
  #received: string | undefined
  #receiving: Allowed | undefined
  /** Rules whose modifiers wrote a filter for this session; what those filters match may be received. */
  #rewriters: Set<SubscribeRule> | undefined

  /** What allowed publishing to this topic name just now, if nothing else can come of it with these facts. */
  publishing(topic: string, facts: PublishFacts | undefined): Allowed | undefined {
    return topic === this.#published && isOrdinary(facts) ? this.#publishing : undefined
  }

  receiving(topic: string): Allowed | undefined {
    return topic === this.#received ? this.#receiving : undefined
  }

  published(topic: string, allowed: Allowed, { hasPublishLimits }: CompiledAcl): void {
    if (hasPublishLimits || topic.length > MAX_REMEMBERED) return
    this.#published = topic
    this.#publishing = allowed
  }

  received(topic: string, allowed: Allowed): void {
    if (topic.length > MAX_REMEMBERED) return
    this.#received = topic
    this.#receiving = allowed
  }

  subscribed(rule: SubscribeRule): void {
    this.#rewriters ??= new Set()
    this.#rewriters.add(rule)
  }

  /** The rule that wrote a filter which matches a topic name. */
  rewriterFor(topic: string): SubscribeRule | undefined {
    for (const rule of this.#rewriters ?? []) {
      if (rule.modifiers?.some(({ filter, qos }) => qos !== 128 && filterMatchesTopic(filter, topic))) return rule
    }
    return undefined
  }
}

/** Tells whether these are facts that every rule without limits fits. */
function isOrdinary(facts: PublishFacts | undefined): boolean {
  if (facts === undefined) return true
  const { qos = 0, payloadSize = 0 } = facts
  const isSize = typeof payloadSize === 'number' && payloadSize >= 0 && payloadSize <= MAX_PAYLOAD_SIZE
  return isSize && (qos === 0 || qos === 1 || qos === 2)
}
