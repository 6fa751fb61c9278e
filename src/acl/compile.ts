import { TopicInvalid } from '../errors.js'
import { decideCover } from './cover-walk.js'
import { matchWalk, type Reading } from './match-walk.js'
import { CompiledRule, denied, UNKNOWN_SIZE } from './rule.js'
import { checkRules } from './rule-check.js'
import {
  describeTopicProblem,
  isTooDeep,
  parseSubscription,
  plainFilterProblem,
  topicFilterProblem,
  topicNameProblem,
} from './topic.js'
import { insert, TrieNode } from './trie.js'
import type { Acl, AclRule, Decision, Principal, PublishFacts, Semantics, SubscribeFacts } from './types.js'

/** Options of {@link compileAcl}. */
export interface CompileOptions {
  /**
   * `strict` follows MQTT; `vernemq` answers as a VerneMQ node would for the same rules, except that the values of
   * variables never act as wildcards.
   *
   * @default 'strict'
   */
  readonly semantics?: Semantics
  /**
   * Most levels a topic name or filter may have; deeper ones are refused with `too_deep` before anything else is asked
   * of them, and rules for deeper names are left aside. Integer from 1 to 1,024.
   *
   * @default 128, or 10 with `semantics: 'vernemq'` (VerneMQ's `topic_max_depth`)
   */
  readonly maxLevels?: number
  /**
   * What a rule with `maxPayloadSize` does when the payload size is not told: `refuse` takes it as too large, `allow`
   * takes it as fitting.
   *
   * @default 'refuse'
   */
  readonly unknownPayloadSize?: 'refuse' | 'allow'
}

/** Rules made ready for deciding. Holds no principal: one object serves everyone with the same rules. */
export interface CompiledAcl {
  /** The rules it was made from. */
  readonly acl: Acl
  readonly semantics: Semantics
  readonly maxLevels: number
  /** Whether a rule of `publishAcl` has a limit. Where none has, the topic name alone decides. */
  readonly hasPublishLimits: boolean
  /**
   * Decides; sends nothing. Whether a rule of `publishAcl` matches the topic name and fits the limits. A fact that is
   * none (a QoS of 3, a size that is no number) fits no rule.
   */
  authorizePublish(principal: Principal, topic: string, facts?: PublishFacts): Decision
  /** Decides; sends nothing. Whether rules of `subscribeAcl` cover the topic filter and fit the QoS. */
  authorizeSubscribe(principal: Principal, filter: string, facts?: SubscribeFacts): Decision
  /** Decides; sends nothing. Whether a rule of `subscribeAcl` matches the topic name, its QoS limit aside. */
  authorizeReceive(principal: Principal, topic: string): Decision
}

/**
 * Makes an ACL ready for deciding.
 *
 * Each decision walks a trie once: its cost follows the levels of the topic, not the number of rules, and decisions are
 * prepared objects. The first rule in array order that matches *and* whose limits fit allows. A refusal carries the
 * nearest rule: the first whose pattern fits while a limit does not (`missed` says which), otherwise one that agrees
 * with the most leading levels.
 *
 * `%m`, `%c` and `%u` stand for mountpoint, client id and username where they fill a level. They are compared as text:
 * a value that is empty, or that holds `/`, `+`, `#`, U+0000 or an unpaired surrogate, matches nothing, and so does one
 * that begins with `$` at the first level. (Under `vernemq`, empty values and those with `$` are plain text, as there.)
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @example
 * ```ts
 * const acl = compileAcl({ publishAcl: [{ pattern: 'plant/%c/#', maxQos: 1 }], subscribeAcl: [{ pattern: 'plant/+' }] })
 * const principal = { mountpoint: '', clientId: 'p7', username: 'u' }
 * acl.authorizePublish(principal, 'plant/p7/temp', { qos: 1 }).allow // true
 * acl.authorizeSubscribe(principal, 'plant/#').allow // false, wider than plant/+
 * ```
 *
 * @param acl The rules. Not copied: do not change them afterwards.
 * @returns An object that is safe to share between principals.
 * @throws TopicInvalid (`ERR_TOPIC_INVALID`) for a pattern that is no topic filter, under `strict` only: VerneMQ
 * ignores such a rule.
 * @throws TypeError for rules of another shape, and for bad options.
 */
export function compileAcl(acl: Acl, options: CompileOptions = {}): CompiledAcl {
  return new Compiled(acl, options)
}

const DEFAULT_MAX_LEVELS: Readonly<Record<Semantics, number>> = { strict: 128, vernemq: 10 }

const MQTT_NAME: Reading = { dollarIsText: false, anyValue: false }
const VERNEMQ_NAME: Reading = { dollarIsText: false, anyValue: true }
const VERNEMQ_FILTER: Reading = { dollarIsText: true, anyValue: true }

class Compiled implements CompiledAcl {
  readonly acl: Acl
  readonly semantics: Semantics
  readonly maxLevels: number
  readonly hasPublishLimits: boolean
  readonly #reading: Reading
  readonly #publish: TrieNode | undefined
  readonly #subscribe: TrieNode | undefined
  readonly #receive: TrieNode | undefined

  constructor(acl: Acl, { semantics = 'strict', maxLevels, unknownPayloadSize = 'refuse' }: CompileOptions) {
    if (semantics !== 'strict' && semantics !== 'vernemq') {
      throw new TypeError("\"semantics\" option must be 'strict' or 'vernemq'")
    }
    this.acl = acl
    this.semantics = semantics
    this.#reading = semantics === 'strict' ? MQTT_NAME : VERNEMQ_NAME
    this.maxLevels = maxLevels ?? DEFAULT_MAX_LEVELS[semantics]
    if (!Number.isInteger(this.maxLevels) || this.maxLevels < 1 || this.maxLevels > 1_024) {
      throw new TypeError('"maxLevels" option must be an integer from 1 to 1024')
    }
    if (unknownPayloadSize !== 'refuse' && unknownPayloadSize !== 'allow') {
      throw new TypeError("\"unknownPayloadSize\" option must be 'refuse' or 'allow'")
    }
    const { publishAcl, subscribeAcl } = checkRules(acl)
    this.hasPublishLimits = publishAcl.some(
      ({ maxQos, maxPayloadSize, allowedRetain }) => (maxQos ?? maxPayloadSize ?? allowedRetain) !== undefined,
    )
    const compile = (rules: readonly AclRule[], place: string) =>
      rules.map((rule, index) => {
        this.#checkPattern(rule.pattern, `${place}[${index}].pattern`)
        return new CompiledRule(rule, index, unknownPayloadSize === 'allow')
      })
    const publishRules = compile(publishAcl, 'publishAcl')
    const subscribeRules = compile(subscribeAcl, 'subscribeAcl')
    this.#publish = this.#trie(publishRules, pattern => pattern)
    this.#subscribe = this.#trie(subscribeRules, pattern => pattern)
    this.#receive = this.#subscribe
    if (semantics === 'vernemq' && subscribeAcl.some(({ pattern }) => pattern.startsWith('$share/'))) {
      // VerneMQ grants `$share/g/a` by a pattern that spells the prefix out; what is delivered is named `a`.
      this.#receive = this.#trie(subscribeRules, pattern => parseSubscription(pattern).filter)
    }
  }

  authorizePublish(principal: Principal, topic: string, facts?: PublishFacts): Decision {
    const invalid = this.#judgeName(topic)
    if (invalid !== undefined) return invalid
    // VerneMQ drops a PUBLISH to `$…` before it asks anybody.
    if (this.semantics === 'vernemq' && topic.charCodeAt(0) === 0x24) return denied('no_matching_rule')
    if (this.#publish === undefined) return denied('no_matching_rule')
    const retain = facts?.retain !== undefined && facts.retain !== false
    return matchWalk
      .limits(checkedQos(facts?.qos), checkedSize(facts?.payloadSize), retain)
      .decide(this.#publish, topic, principal, this.#reading)
  }

  authorizeSubscribe(principal: Principal, filter: string, facts?: SubscribeFacts): Decision {
    if (typeof filter !== 'string') return denied('filter_invalid')
    if (this.semantics === 'vernemq') return this.#subscribeAsVernemq(principal, filter, facts)
    const plain = parseSubscription(filter).filter
    if (topicFilterProblem(filter) !== undefined) return denied('filter_invalid')
    if (isTooDeep(plain, this.maxLevels)) return denied('too_deep')
    if (this.#subscribe === undefined) return denied('no_matching_rule')
    return decideCover(this.#subscribe, plain, checkedQos(facts?.qos), principal)
  }

  authorizeReceive(principal: Principal, topic: string): Decision {
    const invalid = this.#judgeName(topic)
    if (invalid !== undefined) return invalid
    if (this.#receive === undefined) return denied('no_matching_rule')
    return matchWalk.limits(0, UNKNOWN_SIZE, false).decide(this.#receive, topic, principal, this.#reading)
  }

  /** VerneMQ matches the words of the filter as though it were a topic name: `+` admits `#`, and `$` is plain text. */
  #subscribeAsVernemq(principal: Principal, filter: string, facts: SubscribeFacts | undefined): Decision {
    if (vernemqFilterProblem(filter)) return denied('filter_invalid')
    if (isTooDeep(filter, this.maxLevels)) return denied('too_deep')
    if (this.#subscribe === undefined) return denied('no_matching_rule')
    return matchWalk
      .limits(checkedQos(facts?.qos), UNKNOWN_SIZE, false)
      .decide(this.#subscribe, filter, principal, VERNEMQ_FILTER)
  }

  #judgeName(topic: string): Decision | undefined {
    if (typeof topic !== 'string') return denied('topic_invalid')
    if (topicNameProblem(topic) !== undefined) return denied('topic_invalid')
    return isTooDeep(topic, this.maxLevels) ? denied('too_deep') : undefined
  }

  #checkPattern(pattern: string, place: string): void {
    if (this.semantics === 'vernemq') return
    const problem = plainFilterProblem(pattern)
    if (problem !== undefined) throw new TopicInvalid(`${place}: ${describeTopicProblem(problem)}`, problem, 'filter')
  }

  #trie(rules: readonly CompiledRule[], filterOf: (pattern: string) => string): TrieNode | undefined {
    let root: TrieNode | undefined
    for (const compiled of rules) {
      const { pattern } = compiled.rule
      if (this.semantics === 'vernemq' && (vernemqFilterProblem(pattern) || isTooDeep(pattern, this.maxLevels)))
        continue
      const levels = filterOf(pattern).split('/')
      // Deeper than any name that is let through: it can never match, and `#` counts no level of its own.
      if (levels.length - (levels.at(-1) === '#' ? 1 : 0) > this.maxLevels) continue
      root ??= new TrieNode(compiled)
      insert(root, levels, compiled)
    }
    return root
  }
}

/** Anything but a QoS that MQTT knows fits no rule. */
function checkedQos(qos: unknown): number {
  return qos === undefined ? 0 : qos === 0 || qos === 1 || qos === 2 ? qos : Number.POSITIVE_INFINITY
}

/** Neither does a payload size that is none. */
function checkedSize(size: unknown): number {
  return size === undefined ? UNKNOWN_SIZE : typeof size === 'number' && size >= 0 ? size : Number.POSITIVE_INFINITY
}

/** VerneMQ takes `$share` for a filter like any other, save that it wants three levels. */
function vernemqFilterProblem(filter: string): boolean {
  if (plainFilterProblem(filter) !== undefined) return true
  const levels = filter.split('/', 3)
  return levels[0] === '$share' && levels.length < 3
}
