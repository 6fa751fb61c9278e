import { chooseCover, neededLengths } from './cover.js'
import { type CompiledRule, UNKNOWN_SIZE } from './rule.js'
import { followVariables, type TrieNode } from './trie.js'
import type { AclRule, Decision, Principal } from './types.js'

/** A rule that covers, of the requested filter's names, those of `from` levels, or of `from` and more. */
interface Candidate {
  readonly compiled: CompiledRule
  readonly from: number
  readonly open: boolean
}

/**
 * Decides whether the rules of a trie together cover a requested filter (see cover.ts for the reasoning).
 *
 * A single fitting rule that covers wins, in array order; otherwise the fitting rules without modifiers are tried
 * together. A rule with modifiers would replace the whole request, so it cannot grant a part of it.
 *
 * @param filter Valid filter without `$share/…`.
 */
export function decideCover(root: TrieNode, filter: string, qos: number, principal: Principal): Decision {
  const levels = filter.split('/')
  const open = levels.at(-1) === '#'
  if (open) levels.pop()
  const search = new CoverSearch(levels, open, principal)
  search.enter(root)
  const candidates = search.candidates.sort((a, b) => a.compiled.index - b.compiled.index)
  const needed = neededLengths(levels, open)
  const fits = ({ compiled }: Candidate) => compiled.missedLimit(qos, UNKNOWN_SIZE, false) === undefined
  const alone = (candidate: Candidate) => chooseCover([candidate], needed) !== undefined

  const single = candidates.find(candidate => fits(candidate) && alone(candidate))
  if (single !== undefined) return single.compiled.allowed
  const plain = candidates.filter(({ compiled }) => compiled.rule.modifiers === undefined)
  if (open) {
    const fitting = plain.filter(fits)
    const chosen = chooseCover(fitting, needed)
    if (chosen !== undefined) return allowedTogether(chosen.map(at => fitting[at]!.compiled.rule))
  }
  const misfit =
    candidates.find(alone) ??
    chooseCover(plain, needed)
      ?.map(at => plain[at]!)
      .find(one => !fits(one))
  return misfit !== undefined ? misfit.compiled.denied('max_qos') : search.near(root).denied()
}

function allowedTogether(rules: AclRule[]): Decision {
  return Object.freeze({ allow: true, rule: rules[0]!, rules: Object.freeze(rules) })
}

class CoverSearch {
  readonly candidates: Candidate[] = []
  readonly #levels: readonly string[]
  readonly #open: boolean
  readonly #principal: Principal
  #near: CompiledRule | undefined
  #nearDepth = 0

  constructor(levels: readonly string[], open: boolean, principal: Principal) {
    this.#levels = levels
    this.#open = open
    this.#principal = principal
  }

  /** The first rule of the deepest node that agrees with the request. */
  near(root: TrieNode): CompiledRule {
    return this.#near ?? root.first
  }

  enter(root: TrieNode): void {
    const first = this.#levels[0]
    // Wildcards and variables of the first level do not reach names that begin with `$` (MQTT-4.7.2-1).
    if (first?.startsWith('$')) {
      const node = root.literals?.get(first)
      if (node !== undefined) this.#visit(node, 1)
    } else this.#visit(root, 0)
  }

  #visit(start: TrieNode, startDepth: number): void {
    let node: TrieNode | undefined = start
    for (let depth = startDepth; node !== undefined; depth++) {
      if (depth > this.#nearDepth) {
        this.#nearDepth = depth
        this.#near = node.first
      }
      for (const compiled of node.hash) this.candidates.push({ compiled, from: depth, open: true })
      const level = this.#levels[depth]
      if (level === undefined) {
        for (const compiled of node.exact) this.candidates.push({ compiled, from: depth, open: false })
        // Behind the request's `#`, names go on with levels that nobody wrote: only `+` follows.
        if (!this.#open) return
        node = node.plus
      } else if (level === '+') node = node.plus
      else node = this.#branch(node, level, depth)
    }
  }

  /** Enters what agrees with a level that is no wildcard, and returns the branch to go on with. */
  #branch({ literals, plus, variables }: TrieNode, level: string, depth: number): TrieNode | undefined {
    if (variables !== undefined && level !== '') {
      followVariables(variables, level, this.#principal, found => this.#visit(found, depth + 1))
    }
    const literal = literals?.get(level)
    if (literal === undefined) return plus
    if (plus !== undefined) this.#visit(plus, depth + 1)
    return literal
  }
}
