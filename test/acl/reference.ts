import type { AclRule, MissedLimit, Principal, PublishRule, SubscribeRule } from '../../src/acl/types.js'

/*
 * What an ACL decides, written to be obviously right and nothing else: every rule is expanded for the principal and
 * compared level by level, limits in order, and a filter is judged by trying the names it stands for.
 */

/** An answer in terms of positions in the list of rules. */
export type Verdict =
  | { allow: true; rules: number[] }
  | { allow: false; reason: string; nearest?: number | undefined; missed?: MissedLimit | undefined }

/** What is known about a message; as the decision functions take it. */
export interface Facts {
  qos?: unknown
  retain?: unknown
  payloadSize?: unknown
}

/** A level of a pattern for one principal: a wildcard, text that only equals itself, or a value that equals nothing. */
type Level = 'any' | 'none' | { text: string }

interface Expanded {
  levels: Level[]
  open: boolean
}

const HIGHEST = 268_435_456

function isText(text: unknown): boolean {
  return (
    typeof text === 'string' &&
    text !== '' &&
    Buffer.byteLength(text) <= 65_535 &&
    !text.includes('\0') &&
    encodeURIComponentWorks(text)
  )
}

function encodeURIComponentWorks(text: string): boolean {
  try {
    encodeURIComponent(text) // refuses exactly unpaired surrogates
    return true
  } catch {
    return false
  }
}

export function isName(text: unknown): text is string {
  return isText(text) && !/[+#]/.test(text as string)
}

export function isFilter(text: unknown): text is string {
  return isText(text) && /^(?:(?:[^/+#]*|\+)\/)*(?:[^/+#]*|[+#])$/.test(text as string)
}

const VALUES = { '%m': 'mountpoint', '%c': 'clientId', '%u': 'username' } as const

/** The pattern for one principal. */
function expand(pattern: string, principal: Principal, semantics: 'strict' | 'vernemq'): Expanded {
  const { levels: words, open } = splitFilter(pattern)
  const levels = words.map((word, at): Level => {
    if (word === '+') return 'any'
    if (word !== '%m' && word !== '%c' && word !== '%u') return { text: word }
    const value = principal[VALUES[word]]
    if (/[/+#\0]/.test(value) || !encodeURIComponentWorks(value)) return 'none'
    if (semantics === 'strict' && (value === '' || (at === 0 && value.startsWith('$')))) return 'none'
    return { text: value }
  })
  return { levels, open }
}

function agrees(level: Level | undefined, word: string): boolean {
  return level === 'any' || (typeof level === 'object' && level.text === word)
}

/** Whether wildcards of the first level are kept from words that begin with `$`. */
function isKeptOut({ levels }: Expanded, words: readonly string[], dollarIsText: boolean): boolean {
  return !dollarIsText && words[0]!.startsWith('$') && (levels.length === 0 || levels[0] === 'any')
}

function matches(expanded: Expanded, words: readonly string[], dollarIsText = false): boolean {
  const { levels, open } = expanded
  if (isKeptOut(expanded, words, dollarIsText)) return false
  if (open ? words.length < levels.length : words.length !== levels.length) return false
  return levels.every((level, at) => agrees(level, words[at]!))
}

/** How many leading levels of the pattern agree with the words. */
function agreement(expanded: Expanded, words: readonly string[], dollarIsText: boolean): number {
  if (isKeptOut(expanded, words, dollarIsText)) return 0
  const end = expanded.levels.findIndex((level, at) => at >= words.length || !agrees(level, words[at]!))
  return end === -1 ? expanded.levels.length : end
}

/** How many leading levels of the pattern are as wide as those of a filter. */
function coveringAgreement({ levels }: Expanded, filter: string): number {
  const { levels: words, open } = splitFilter(filter)
  if (words[0]?.startsWith('$') && levels[0] === 'any') return 0
  const end = levels.findIndex((level, at) => {
    const word = words[at]
    if (word === undefined) return !open || level !== 'any'
    return word === '+' ? level !== 'any' : !agrees(level, word)
  })
  return end === -1 ? levels.length : end
}

function splitFilter(filter: string): { levels: string[]; open: boolean } {
  const levels = filter.split('/')
  const open = levels.at(-1) === '#'
  if (open) levels.pop()
  return { levels, open }
}

interface Mode {
  semantics: 'strict' | 'vernemq'
  dollarIsText: boolean
  maxLevels: number
}

function missedLimit(rule: AclRule, { qos = 0, retain = false, payloadSize }: Facts, unknownFits: boolean) {
  const { maxQos = 2, maxPayloadSize, allowedRetain = true } = rule as PublishRule
  if (!(qos === 0 || qos === 1 || qos === 2) || qos > maxQos) return 'max_qos'
  if (payloadSize === undefined) {
    if (maxPayloadSize !== undefined && !unknownFits) return 'payload_size_unknown'
  } else {
    const isSize = typeof payloadSize === 'number' && payloadSize >= 0
    if (!isSize || payloadSize > (maxPayloadSize ?? HIGHEST)) return 'max_payload_size'
  }
  if (retain !== false && !allowedRetain) return 'retain'
  return undefined
}

/** Whether a rule takes part at all: VerneMQ ignores what it cannot use, and nothing is deeper than the limit. */
function isLive(pattern: string, { semantics, maxLevels }: Mode): boolean {
  const depth = pattern.split('/').length
  if (semantics === 'strict') return depth - (pattern.split('/').at(-1) === '#' ? 1 : 0) <= maxLevels
  return isVernemqFilter(pattern) && depth <= maxLevels
}

export function isVernemqFilter(filter: unknown): filter is string {
  return isFilter(filter) && !(filter.split('/')[0] === '$share' && filter.split('/').length < 3)
}

/** The rule that takes part with the highest score; of several the first. */
function nearest(rules: readonly AclRule[], principal: Principal, mode: Mode, score: (expanded: Expanded) => number) {
  const scores = rules.map(({ pattern }) =>
    isLive(pattern, mode) ? score(expand(pattern, principal, mode.semantics)) : Number.NEGATIVE_INFINITY,
  )
  const best = Math.max(...scores)
  return best < 0 ? undefined : scores.indexOf(best)
}

function decideMatch(
  rules: readonly AclRule[],
  words: readonly string[],
  principal: Principal,
  mode: Mode,
  missed: (rule: AclRule) => MissedLimit | undefined,
): Verdict {
  let misfit: number | undefined
  for (const [at, rule] of rules.entries()) {
    if (!isLive(rule.pattern, mode)) continue
    if (!matches(expand(rule.pattern, principal, mode.semantics), words, mode.dollarIsText)) continue
    if (missed(rule) === undefined) return { allow: true, rules: [at] }
    misfit ??= at
  }
  if (misfit !== undefined) {
    return { allow: false, reason: 'no_matching_rule', nearest: misfit, missed: missed(rules[misfit]!) }
  }
  const score = (expanded: Expanded) => agreement(expanded, words, mode.dollarIsText)
  return { allow: false, reason: 'no_matching_rule', nearest: nearest(rules, principal, mode, score) }
}

export interface ReferenceOptions {
  semantics: 'strict' | 'vernemq'
  maxLevels: number
  unknownFits: boolean
}

export function publishVerdict(
  rules: readonly PublishRule[],
  principal: Principal,
  topic: string,
  facts: Facts,
  { semantics, maxLevels, unknownFits }: ReferenceOptions,
): Verdict {
  if (!isName(topic)) return { allow: false, reason: 'topic_invalid' }
  if (topic.split('/').length > maxLevels) return { allow: false, reason: 'too_deep' }
  if (semantics === 'vernemq' && topic.startsWith('$')) return { allow: false, reason: 'no_matching_rule' }
  const mode = { semantics, maxLevels, dollarIsText: false }
  return decideMatch(rules, topic.split('/'), principal, mode, rule => missedLimit(rule, facts, unknownFits))
}

export function receiveVerdict(
  rules: readonly SubscribeRule[],
  principal: Principal,
  topic: string,
  { semantics, maxLevels }: ReferenceOptions,
): Verdict {
  if (!isName(topic)) return { allow: false, reason: 'topic_invalid' }
  if (topic.split('/').length > maxLevels) return { allow: false, reason: 'too_deep' }
  const mode = { semantics, maxLevels, dollarIsText: false }
  return decideMatch(rules, topic.split('/'), principal, mode, () => undefined)
}

export function subscribeVerdict(
  rules: readonly SubscribeRule[],
  principal: Principal,
  filter: string,
  facts: Facts,
  { semantics, maxLevels }: ReferenceOptions,
): Verdict {
  const share = /^\$share\/([^/]+)\//.exec(filter)
  const plain = semantics === 'strict' && share !== null ? filter.slice(share[0].length) : filter
  const isValid = semantics === 'strict' ? isFilter : isVernemqFilter
  if (!isValid(plain)) return { allow: false, reason: 'filter_invalid' }
  if (semantics === 'strict' && filter.startsWith('$share/') && !isName(share?.[1])) {
    return { allow: false, reason: 'filter_invalid' }
  }
  if (plain.split('/').length > maxLevels) return { allow: false, reason: 'too_deep' }
  const mode = { semantics, maxLevels, dollarIsText: semantics === 'vernemq' }
  if (semantics === 'strict') return decideCover(rules, plain, principal, mode, facts)
  return decideMatch(rules, plain.split('/'), principal, mode, rule => missedLimit(rule, { qos: facts.qos }, true))
}

const FRESH = '\u{1f512} a level that no pattern names'

/** The hardest name of each length that a filter stands for: levels nobody wrote wherever the filter leaves them open. */
function hardestNames(filter: string, longest: number): string[][] {
  const { levels: words, open } = splitFilter(filter)
  const names: string[][] = []
  for (let length = words.length; length <= (open ? longest : words.length); length++) {
    const name = Array.from({ length }, (_, at) => (words[at] === undefined || words[at] === '+' ? FRESH : words[at]!))
    if (name.join('/') !== '') names.push(name)
  }
  return names
}

function decideCover(
  rules: readonly SubscribeRule[],
  filter: string,
  principal: Principal,
  mode: Mode,
  { qos }: Facts,
): Verdict {
  const longest = Math.max(filter.split('/').length, ...rules.map(({ pattern }) => pattern.split('/').length)) + 1
  const names = hardestNames(filter, longest)
  const live = [...rules.keys()].filter(at => isLive(rules[at]!.pattern, mode))
  const covers = (some: readonly number[]) =>
    names.every(name => some.some(at => matches(expand(rules[at]!.pattern, principal, 'strict'), name)))
  const fitting = live.filter(at => missedLimit(rules[at]!, { qos }, true) === undefined)
  const isPlain = (at: number) => rules[at]!.modifiers === undefined

  const single = fitting.find(at => covers([at]))
  if (single !== undefined) return { allow: true, rules: [single] }
  const together = smallest(fitting.filter(isPlain), covers)
  if (together !== undefined) return { allow: true, rules: together }
  const misfit = live.find(at => covers([at]))
  if (misfit !== undefined) return { allow: false, reason: 'no_matching_rule', nearest: misfit, missed: 'max_qos' }
  // Several limits are missed at once: any of the rules concerned may be named.
  if (covers(live.filter(isPlain))) return { allow: false, reason: 'no_matching_rule', missed: 'max_qos' }
  const score = (expanded: Expanded) => coveringAgreement(expanded, filter)
  return { allow: false, reason: 'no_matching_rule', nearest: nearest(rules, principal, mode, score) }
}

/** The smallest choice that covers, of equally small ones the first in array order. */
function smallest(from: readonly number[], covers: (some: readonly number[]) => boolean): number[] | undefined {
  const choices = Array.from({ length: 2 ** from.length }, (_, bits) => from.filter((_, at) => (bits >> at) & 1))
  return choices
    .filter(covers)
    .sort((a, b) => a.length - b.length || a.map((at, i) => at - b[i]!).find(difference => difference !== 0) || 0)[0]
}
