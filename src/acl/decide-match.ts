import { Agreement, type Question } from './agreement.js'
import { type Demand, denied } from './rule.js'
import { NONE, type Trie } from './trie.js'
import type { Decision, MissedLimit, Principal } from './types.js'

/** Asks for a text that is a name, or is taken for one. */
export function nameQuestion(text: string, principal: Principal, dollarIsText: boolean): Question {
  return { text, at: 0, open: false, dollarIsText, principal }
}

/** Decides by the first rule, in array order, whose pattern matches a text level by level and whose limits fit. */
export function decideMatch(trie: Trie, question: Question, demand: Demand): Decision {
  const { list } = trie
  const { rules, nearest } = new Agreement(trie, question)
  let misfit = NONE
  let missed: MissedLimit | undefined
  for (const { index } of rules) {
    const limit = list.missedLimit(index, demand)
    if (limit === undefined) return list.allowed(index)
    if (misfit !== NONE) continue
    misfit = index
    missed = limit
  }
  if (misfit !== NONE) return list.denied(misfit, missed)
  return nearest === NONE ? denied('no_matching_rule') : list.denied(nearest)
}
