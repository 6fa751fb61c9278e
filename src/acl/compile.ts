import { TopicInvalid } from '../errors.js'
import { checkNames, integerOption } from '../options.js'
import { splitFilter } from './cover.js'
import { decideCover } from './decide-cover.js'
import { decideMatch, nameQuestion } from './decide-match.js'
import { findFirstMatch } from './first-match.js'
import { type Demand, denied, NO_DEMAND, publishDemand, RuleList, subscribeDemand } from './rule.js'
import { checkRules } from './rule-check.js'
import { keepStringsFast } from './strings.js'
import {
  describeTopicProblem,
  isTooDeep,
  parseSubscription,
  plainFilterProblem,
  topicFilterProblem,
  topicNameProblem,
} from './topic.js'
import { isReserved, NONE, type Trie } from './trie.js'
import { buildTrie, type TrieEntry } from './trie-build.js'
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

const NAMES: ReadonlySet<string> = new Set(['semantics', 'maxLevels', 'unknownPayloadSize'])

class Compiled implements CompiledAcl {
  readonly acl: Acl
  readonly semantics: Semantics
  readonly maxLevels: number
  readonly #publishRules: RuleList
  readonly #subscribeRules: RuleList
  #publish: Trie | undefined = undefined
  #subscribe: Trie | undefined = undefined
  #receive: Trie | undefined = undefined

  constructor(acl: Acl, options: CompileOptions) {
    checkNames(options, NAMES, 'compileAcl')
    const { semantics = 'strict', unknownPayloadSize = 'refuse' } = options
    if (semantics !== 'strict' && semantics !== 'vernemq') {
      throw new TypeError("\"semantics\" option must be 'strict' or 'vernemq'")
    }
    keepStringsFast()
    this.acl = acl
    this.semantics = semantics
    this.maxLevels = integerOption(options, 'maxLevels', {
      fallback: DEFAULT_MAX_LEVELS[semantics],
      min: 1,
      max: 1_024,
    })
    if (unknownPayloadSize !== 'refuse' && unknownPayloadSize !== 'allow') {
      throw new TypeError("\"unknownPayloadSize\" option must be 'refuse' or 'allow'")
    }
    const { publishAcl, subscribeAcl } = checkRules(acl)
    if (semantics === 'strict') {
      checkPatterns(publishAcl, 'publishAcl')
      checkPatterns(subscribeAcl, 'subscribeAcl')
    }
    this.#publishRules = new RuleList(publishAcl, unknownPayloadSize === 'allow')
    this.#subscribeRules = new RuleList(subscribeAcl, unknownPayloadSize === 'allow')
  }

  get hasPublishLimits(): boolean {
    return this.#publishRules.hasLimits
  }

  // Tries are made when first asked: many records are held for clients that only publish, or do nothing for long.

  get #publishTrie(): Trie {
    this.#publish ??= this.#trie(this.#publishRules, whole)
    return this.#publish
  }

  get #subscribeTrie(): Trie {
    this.#subscribe ??= this.#trie(this.#subscribeRules, whole)
    return this.#subscribe
  }

  get #receiveTrie(): Trie {
    this.#receive ??= this.#makeReceiveTrie()
    return this.#receive
  }

  authorizePublish(principal: Principal, topic: string, facts?: PublishFacts): Decision {
    const demand = publishDemand(facts)
    const allowed = this.#isDropped(topic)
      ? undefined
      : this.#allowedAtOnce(this.#publishTrie, principal, topic, demand)
    return allowed ?? this.#publishInFull(principal, topic, demand)
  }

  authorizeSubscribe(principal: Principal, filter: string, facts?: SubscribeFacts): Decision {
    if (typeof filter !== 'string') return denied('filter_invalid')
    if (this.semantics === 'vernemq') return this.#subscribeAsVernemq(principal, filter, facts)
    const plain = parseSubscription(filter).filter
    if (topicFilterProblem(filter) !== undefined) return denied('filter_invalid')
    if (isTooDeep(plain, this.maxLevels)) return denied('too_deep')
    return decideCover(this.#subscribeTrie, plain, principal, subscribeDemand(facts))
  }

  authorizeReceive(principal: Principal, topic: string): Decision {
    return (
      this.#allowedAtOnce(this.#receiveTrie, principal, topic, NO_DEMAND) ??
      this.#judgeName(topic) ??
      decideMatch(this.#receiveTrie, nameQuestion(topic, principal, false), NO_DEMAND)
    )
  }

  /** What is ordinary and allowed by the first rule that matches is decided without a look at anything else. */
  #allowedAtOnce(trie: Trie, principal: Principal, topic: string, demand: Demand): Decision | undefined {
    if (typeof topic !== 'string' || isTooDeep(topic, this.maxLevels)) return undefined
    const index = findFirstMatch(trie, topic, principal)
    if (index === NONE || trie.list.missedLimit(index, demand) !== undefined) return undefined
    return trie.list.allowed(index)
  }

  #publishInFull(principal: Principal, topic: string, demand: Demand): Decision {
    const invalid = this.#judgeName(topic)
    if (invalid !== undefined) return invalid
    if (this.#isDropped(topic)) return denied('no_matching_rule')
    return decideMatch(this.#publishTrie, nameQuestion(topic, principal, false), demand)
  }

  /** VerneMQ matches the words of the filter as though it were a topic name: `+` admits `#`, and `$` is plain text. */
  #subscribeAsVernemq(principal: Principal, filter: string, facts: SubscribeFacts | undefined): Decision {
    if (vernemqFilterProblem(filter)) return denied('filter_invalid')
    if (isTooDeep(filter, this.maxLevels)) return denied('too_deep')
    return decideMatch(this.#subscribeTrie, nameQuestion(filter, principal, true), subscribeDemand(facts))
  }

  /** VerneMQ drops a PUBLISH to `$…` before it asks anybody. */
  #isDropped(topic: string): boolean {
    return this.semantics === 'vernemq' && typeof topic === 'string' && isReserved(topic)
  }

  #judgeName(topic: string): Decision | undefined {
    if (typeof topic !== 'string') return denied('topic_invalid')
    if (topicNameProblem(topic) !== undefined) return denied('topic_invalid')
    return isTooDeep(topic, this.maxLevels) ? denied('too_deep') : undefined
  }

  /** VerneMQ grants `$share/g/a` by a pattern that spells the prefix out; what is delivered is named `a`. */
  #makeReceiveTrie(): Trie {
    const { rules } = this.#subscribeRules
    const hasShares = this.semantics === 'vernemq' && rules.some(({ pattern }) => pattern.startsWith('$share/'))
    return hasShares ? this.#trie(this.#subscribeRules, withoutShare) : this.#subscribeTrie
  }

  #trie(list: RuleList, filterOf: (pattern: string) => string): Trie {
    const entries: TrieEntry[] = []
    for (const [index, { pattern }] of list.rules.entries()) {
      if (this.semantics === 'vernemq' && (vernemqFilterProblem(pattern) || isTooDeep(pattern, this.maxLevels)))
        continue
      const { levels, open } = splitFilter(filterOf(pattern))
      // Deeper than any name that is let through: it can never match, and `#` counts no level of its own.
      if (levels.length <= this.maxLevels) entries.push({ index, levels, open })
    }
    return buildTrie(list, entries, this.semantics === 'vernemq')
  }
}

function checkPatterns(rules: readonly AclRule[], place: string): void {
  for (const [index, { pattern }] of rules.entries()) {
    const problem = plainFilterProblem(pattern)
    if (problem === undefined) continue
    throw new TopicInvalid(`${place}[${index}].pattern: ${describeTopicProblem(problem)}`, problem, 'filter')
  }
}

function whole(pattern: string): string {
  return pattern
}

function withoutShare(pattern: string): string {
  return parseSubscription(pattern).filter
}

/** VerneMQ takes `$share` for a filter like any other, save that it wants three levels. */
function vernemqFilterProblem(filter: string): boolean {
  if (plainFilterProblem(filter) !== undefined) return true
  const levels = filter.split('/', 3)
  return levels[0] === '$share' && levels.length < 3
}
