import { type Agreeing, Agreement, type Question } from './agreement.js'
import { chooseCover, coversAll, neededLengths, splitFilter } from './cover.js'
import { type Demand, denied } from './rule.js'
import { NONE, type Trie } from './trie.js'
import type { AclRule, Decision, Principal } from './types.js'

/**
 * Decides whether the rules of a trie together cover a requested filter (see cover.ts for the reasoning).
 *
 * A single fitting rule that covers wins, in array order; otherwise the fitting rules without modifiers are tried
 * together. A rule with modifiers would replace the whole request, so it cannot grant a part of it.
 *
 * @param filter Valid filter without `$share/…`.
 */
export function decideCover(trie: Trie, filter: string, principal: Principal, demand: Demand): Decision {
  const { list } = trie
  const requested = splitFilter(filter)
  const { rules, nearest } = new Agreement(trie, filterQuestion(filter, principal, requested.open))
  const needed = neededLengths(requested)
  const fits = ({ index }: Agreeing) => list.missedLimit(index, demand) === undefined
  const coversAlone = (rule: Agreeing) => coversAll(rule, needed)
  const isPlain = ({ index }: Agreeing) => list.rules[index]!.modifiers === undefined

  const fitting = rules.filter(fits)
  const single = fitting.find(coversAlone)
  if (single !== undefined) return list.allowed(single.index)
  const together = chooseCover(fitting.filter(isPlain), needed)
  if (together !== undefined) return allowedTogether(together.map(({ index }) => list.rules[index]!))
  // Refused. With those that fit in front, a choice names a misfit only where nothing that fits does its part.
  const preferred = [...fitting, ...rules.filter(rule => !fits(rule))].filter(isPlain)
  const misfit = rules.find(coversAlone) ?? chooseCover(preferred, needed)?.find(rule => !fits(rule))
  if (misfit !== undefined) return list.denied(misfit.index, 'max_qos')
  return nearest === NONE ? denied('no_matching_rule') : list.denied(nearest)
}

/** Asks for the levels of a filter, which stand before `#`. */
function filterQuestion(filter: string, principal: Principal, open: boolean): Question {
  const text = open ? filter.slice(0, -2) : filter
  return { text, at: filter === '#' ? 1 : 0, open, dollarIsText: false, principal }
}

function allowedTogether(rules: readonly AclRule[]): Decision {
  return Object.freeze({ allow: true, rule: rules[0]!, rules: Object.freeze(rules) })
}
