import type { TopicProblem } from './types.js'

/** Longest topic name or filter in bytes of UTF-8: MQTT writes its length in two bytes (MQTT 5, 1.5.4). */
export const MAX_TOPIC_BYTES = 65_535

const SHARE_PREFIX = '$share/'

// One class test finds everything that needs a closer look. V8 compiles it apart for one-byte strings, where a
// surrogate cannot occur; ordinary names pass here in some twenty nanoseconds.
const SUSPECT_IN_NAME = /[\0+#\ud800-\udfff]/
const BEYOND_ASCII = /[^\0-\x7f]/
const SUSPECT_IN_TEXT = /[\0\ud800-\udfff]/

/**
 * Tells what makes a topic name invalid, or returns `undefined` for a valid one.
 *
 * A name has 1 to 65,535 bytes of UTF-8, no U+0000, no unpaired surrogate and no wildcard. Judges only what MQTT says:
 * depth is a limit of `compileAcl`, and names beginning with `$` are valid. Of several problems the first in the order
 * of `TopicProblem` is told. Never throws: anything but a string is `empty`. Cost is linear in the length, and 20 to
 * 50 ns for ordinary names.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @param topic Topic name of a PUBLISH.
 * @returns The problem, or `undefined`.
 * @see MQTT 5 sections 1.5.4, 4.7.1 and 4.7.3
 */
export function topicNameProblem(topic: string): TopicProblem | undefined {
  if (typeof topic !== 'string' || topic.length === 0) return 'empty'
  if (topic.length * 3 > MAX_TOPIC_BYTES && isTooLong(topic)) return 'too_long'
  if (!SUSPECT_IN_NAME.test(topic)) return undefined
  return textProblem(topic) ?? (topic.includes('+') || topic.includes('#') ? 'wildcard_in_name' : undefined)
}

/**
 * Tells what makes a topic filter invalid, or returns `undefined` for a valid one.
 *
 * A filter obeys the rules of a name, save that a whole level may be `+`, and the last may be `#`. A filter that begins
 * with `$share/` is a shared subscription: a share name of at least one character without `+`, `#` or `/`, then `/`,
 * then a filter. Of several misplaced wildcards the leftmost is told. Never throws: anything but a string is `empty`.
 * Cost is linear in the length.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @param filter Topic filter of a SUBSCRIBE.
 * @returns The problem, or `undefined`.
 * @see MQTT 5 sections 4.7.1 and 4.8.2
 */
export function topicFilterProblem(filter: string): TopicProblem | undefined {
  if (typeof filter !== 'string' || !filter.startsWith(SHARE_PREFIX)) return plainFilterProblem(filter)
  if (filter.length * 3 > MAX_TOPIC_BYTES && isTooLong(filter)) return 'too_long'
  const problem = textProblem(filter)
  if (problem !== undefined) return problem
  const nameEnd = filter.indexOf('/', SHARE_PREFIX.length)
  if (nameEnd <= SHARE_PREFIX.length) return 'share_name_invalid'
  const shareName = filter.slice(SHARE_PREFIX.length, nameEnd)
  if (shareName.includes('+') || shareName.includes('#')) return 'share_name_invalid'
  return plainFilterProblem(filter.slice(nameEnd + 1))
}

/** As {@link topicFilterProblem}, with `$share` taken for ordinary text: the rule for the patterns of an ACL. */
export function plainFilterProblem(filter: string): TopicProblem | undefined {
  if (typeof filter !== 'string' || filter.length === 0) return 'empty'
  if (filter.length * 3 > MAX_TOPIC_BYTES && isTooLong(filter)) return 'too_long'
  if (!SUSPECT_IN_NAME.test(filter)) return undefined
  return textProblem(filter) ?? wildcardProblem(filter)
}

/**
 * Splits a subscription into the share name and the filter that is authorised.
 *
 * `$share/<name>/<filter>` gives both; anything else, and anything that only resembles it, comes back whole as
 * `filter`. Does not judge validity: see {@link topicFilterProblem}.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @example
 * ```ts
 * parseSubscription('$share/workers/jobs/#') // { shareName: 'workers', filter: 'jobs/#' }
 * parseSubscription('jobs/#') // { filter: 'jobs/#' }
 * ```
 *
 * @param filter Topic filter of a SUBSCRIBE.
 * @see MQTT 5 section 4.8.2
 */
export function parseSubscription(filter: string): { shareName?: string; filter: string } {
  if (!filter.startsWith(SHARE_PREFIX)) return { filter }
  const nameEnd = filter.indexOf('/', SHARE_PREFIX.length)
  if (nameEnd <= SHARE_PREFIX.length) return { filter }
  return { shareName: filter.slice(SHARE_PREFIX.length, nameEnd), filter: filter.slice(nameEnd + 1) }
}

/** Says a problem in words that fit behind a place: `subscribe_acl[2].pattern: '#' must be the last level`. */
export function describeTopicProblem(problem: TopicProblem): string {
  return PROBLEM_TEXTS[problem]
}

const PROBLEM_TEXTS: Readonly<Record<TopicProblem, string>> = {
  empty: 'must not be empty',
  too_long: 'must not be longer than 65,535 bytes of UTF-8',
  null_character: 'must not contain U+0000',
  lone_surrogate: 'must not contain an unpaired surrogate',
  wildcard_in_name: "must not contain '+' or '#'",
  wildcard_not_alone: "'+' and '#' must fill a whole level",
  hash_not_last: "'#' must be the last level",
  share_name_invalid: "'$share/' must be followed by a name without '+' and '#', then '/' and a filter",
}

/** Tells whether a topic has more levels than `maxLevels`; looks no further than it has to. */
export function isTooDeep(topic: string, maxLevels: number): boolean {
  if (topic.length < maxLevels) return false
  let levels = 1
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) {
    if (++levels > maxLevels) return true
  }
  return false
}

/**
 * Where a level of a name ends that begins at a position; -1 if it holds a character that a name may not have, or the
 * half of a pair that may be incomplete.
 */
export function plainLevelEnd(name: string, at: number): number {
  for (let end = at; end < name.length; end++) {
    const code = name.charCodeAt(end)
    if (code === 0x2f) return end
    if (isSuspect(code)) return -1
  }
  return name.length
}

/** Whether nothing from a position of a name on needs a closer look. */
export function isPlainFrom(name: string, at: number): boolean {
  if (name.length - at > 32) return !SUSPECT_IN_NAME.test(name)
  for (let end = at; end < name.length; end++) if (isSuspect(name.charCodeAt(end))) return false
  return true
}

/** What {@link SUSPECT_IN_NAME} finds, for a few characters: it needs as long to begin as this for ten. */
function isSuspect(code: number): boolean {
  return code < 0x2f ? code === 0x2b || code === 0x23 || code === 0 : code >= 0xd800 && code < 0xe000
}

function textProblem(text: string): TopicProblem | undefined {
  if (!SUSPECT_IN_TEXT.test(text)) return undefined
  if (text.includes('\0')) return 'null_character'
  return text.isWellFormed() ? undefined : 'lone_surrogate'
}

function wildcardProblem(filter: string): TopicProblem | undefined {
  for (let at = 0; at < filter.length; at++) {
    const code = filter.charCodeAt(at)
    if (code !== 0x2b && code !== 0x23) continue
    const opensLevel = at === 0 || filter.charCodeAt(at - 1) === 0x2f
    const closesLevel = at === filter.length - 1 || filter.charCodeAt(at + 1) === 0x2f
    if (!opensLevel || !closesLevel) return 'wildcard_not_alone'
    if (code === 0x23 && at !== filter.length - 1) return 'hash_not_last'
  }
  return undefined
}

function isTooLong(text: string): boolean {
  if (text.length > MAX_TOPIC_BYTES) return true
  if (!BEYOND_ASCII.test(text)) return false
  let bytes = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    // Each half of a surrogate pair counts two of its four bytes.
    bytes += code < 0x80 ? 1 : code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 2 : 3
  }
  return bytes > MAX_TOPIC_BYTES
}
