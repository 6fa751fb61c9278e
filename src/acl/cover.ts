import { parseSubscription, topicFilterProblem } from './topic.js'

/*
 * The set of names a filter matches, seen length by length.
 *
 * A filter without `#` matches names of one length (counted in levels); one with `#` behind m levels matches names of
 * every length from m on. Among the names of one length take the generic one, which has a level written nowhere else at
 * every wildcard: a pattern that matches it has wildcards wherever the filter has them, so it matches all of them. So a
 * pattern covers, of the filter's names, all of one length or none, and comparing the levels once tells which lengths.
 *
 * The name of length one whose only level is empty does not exist (a name has at least one character).
 */

/** The lengths of names, in levels: exactly `from`, or `from` and all above. */
interface Lengths {
  readonly from: number
  readonly open: boolean
}

/** A filter as its levels without `#`, and whether there was one. */
export interface SplitFilter {
  readonly levels: readonly string[]
  readonly open: boolean
}

export function splitFilter(filter: string): SplitFilter {
  const levels = filter.split('/')
  const open = levels.at(-1) === '#'
  if (open) levels.pop()
  return { levels, open }
}

/** Which lengths of the names of `requested` a pattern covers; `undefined` for none. */
function coveredLengths(pattern: string, requested: SplitFilter): Lengths | undefined {
  const { levels, open } = splitFilter(pattern)
  if (!requested.open && (open ? levels.length > requested.levels.length : levels.length !== requested.levels.length)) {
    return undefined
  }
  const first = requested.levels[0]
  if (first?.startsWith('$') && (levels.length === 0 || levels[0] === '+')) return undefined
  for (let at = 0; at < levels.length; at++) {
    const level = levels[at]
    const wanted = requested.levels[at]
    if (level !== '+' && (wanted === undefined || wanted === '+' || level !== wanted)) return undefined
  }
  return { from: levels.length, open }
}

/** Whether all that is needed is covered. */
export function coversAll({ from, open }: Lengths, needed: Lengths): boolean {
  return open ? from <= needed.from : !needed.open && from === needed.from
}

/**
 * Picks from what several patterns cover a smallest choice that covers every name of a filter. Shared with the compiled
 * ACLs, which collect the same lengths from a trie.
 *
 * @param covered For each candidate the lengths it covers; of equal ones the first is taken.
 * @param needed Lengths of the names of the requested filter.
 * @returns The choice in the order of `covered`, or `undefined` where even all together leave a name out.
 */
export function chooseCover<L extends Lengths>(covered: readonly L[], needed: Lengths): L[] | undefined {
  if (!needed.open) {
    const one = covered.find(lengths => coversAll(lengths, needed))
    return one && [one]
  }
  let widest: L | undefined
  for (const one of covered) if (one.open && (widest === undefined || one.from < widest.from)) widest = one
  if (widest === undefined) return undefined
  const chosen = [widest]
  for (let length = needed.from; length < widest.from; length++) {
    const one = covered.find(({ from, open }) => !open && from === length)
    if (one === undefined) return undefined
    chosen.push(one)
  }
  return chosen.length === 1 ? chosen : covered.filter(one => chosen.includes(one))
}

/** The lengths of the names that a filter matches. */
export function neededLengths({ levels, open }: SplitFilter): Lengths {
  // The shortest name of `#` has one level, and so has that of `/#`, were it not empty: it begins at two.
  const from = levels.length === 0 ? 1 : levels.length === 1 && levels[0] === '' && open ? 2 : levels.length
  return { from, open }
}

/**
 * Tells whether the patterns together cover a requested topic filter: whether every topic name the request matches is
 * matched by at least one of them. This is the question of SUBSCRIBE.
 *
 * The answer is exact, for the union too: `a` and `a/+/#` together cover `a/#`, which neither does alone. Wildcards at
 * the first level never cover names that begin with `$`. Shared subscriptions count as their inner filters. An invalid
 * pattern covers nothing; an invalid request is never covered. Cost is linear in the length of all arguments.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @param patterns Topic filters that are allowed.
 * @param requested Topic filter of a SUBSCRIBE.
 * @see MQTT 5 section 4.7
 */
export function filtersCoverFilter(patterns: readonly string[], requested: string): boolean {
  if (topicFilterProblem(requested) !== undefined) return false
  const wanted = splitFilter(parseSubscription(requested).filter)
  const covered: Lengths[] = []
  for (const pattern of patterns) {
    if (topicFilterProblem(pattern) !== undefined) continue
    const lengths = coveredLengths(parseSubscription(pattern).filter, wanted)
    if (lengths !== undefined) covered.push(lengths)
  }
  return chooseCover(covered, neededLengths(wanted)) !== undefined
}

/**
 * Tells whether a pattern covers a requested topic filter: whether every topic name the request matches is matched by
 * the pattern too.
 *
 * > [!WARNING]
 * > Do not use {@link filterMatchesTopic} for this. Comparing the request as though it were a name lets `a/+` admit
 * > `a/#`, as several brokers do.
 *
 * The answer is exact; cost is linear in both lengths. Whether several patterns do it together is the question of
 * {@link filtersCoverFilter}.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @example
 * ```ts
 * filterCoversFilter('plant/+/temp', 'plant/7/temp') // true
 * filterCoversFilter('plant/+', 'plant/#') // false, the request is wider
 * filterCoversFilter('+/#', '#') // true, the same names
 * filterCoversFilter('#', '$SYS/#') // false
 * ```
 *
 * @param pattern Topic filter that is allowed.
 * @param requested Topic filter of a SUBSCRIBE.
 * @see MQTT 5 section 4.7
 */
export function filterCoversFilter(pattern: string, requested: string): boolean {
  return filtersCoverFilter([pattern], requested)
}

/**
 * Tells whether two topic filters have a topic name in common. `false` when either is invalid. Shared subscriptions
 * count as their inner filters. Exact; cost is linear in both lengths.
 *
 * Exported from `mqtt-warden` and `mqtt-warden/acl`.
 *
 * @example
 * ```ts
 * filtersOverlap('a/+', '+/b') // true: a/b
 * filtersOverlap('#', '$SYS/#') // false
 * ```
 *
 * @see MQTT 5 section 4.7
 */
export function filtersOverlap(a: string, b: string): boolean {
  if (topicFilterProblem(a) !== undefined || topicFilterProblem(b) !== undefined) return false
  const one = splitFilter(parseSubscription(a).filter)
  const two = splitFilter(parseSubscription(b).filter)
  const shared = Math.min(one.levels.length, two.levels.length)
  for (let at = 0; at < shared; at++) {
    const left = one.levels[at]!
    const right = two.levels[at]!
    if (left !== '+' && right !== '+') {
      if (left !== right) return false
    } else if (at === 0 && (left.startsWith('$') || right.startsWith('$'))) return false
  }
  return shareLength(one, two, shared)
}

/** Whether names of one length, existing ones, belong to both filters, whose shared levels agree. */
function shareLength(one: SplitFilter, two: SplitFilter, shared: number): boolean {
  const longest = Math.max(one.levels.length, two.levels.length)
  if (one.levels.length < longest && !one.open) return false
  if (two.levels.length < longest && !two.open) return false
  const longer = one.levels.length === longest ? one : two
  // A `#` at the first level does not reach names that begin with `$`.
  if (shared === 0 && longer.levels[0]?.startsWith('$')) return false
  // Two filters that meet only in the empty name of one level, e.g. `/#` and `+`, have nothing in common.
  const onlyLength = !(one.open && two.open)
  return !(onlyLength && longest === 1 && (one.levels[0] === '' || two.levels[0] === ''))
}
