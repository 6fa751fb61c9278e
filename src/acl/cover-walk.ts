import { chooseCover, coversAll, neededLengths, type SplitFilter, splitFilter } from './cover.js'
import { type CompiledRule, UNKNOWN_SIZE } from './rule.js'
import type { TrieNode } from './trie.js'
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
  const requested = splitFilter(filter)
  const { candidates, near } = new CoverSearch(root, requested, principal)
  const needed = neededLengths(requested)
  const fits = ({ compiled }: Candidate) => compiled.missedLimit(qos, UNKNOWN_SIZE, false) === undefined
  const coversAlone = (candidate: Candidate) => coversAll(candidate, needed)
  const isPlain = ({ compiled }: Candidate) => compiled.rule.modifiers === undefined

  const fitting = candidates.filter(fits)
  const single = fitting.find(coversAlone)
  if (single !== undefined) return single.compiled.allowed
  const together = chooseCover(fitting.filter(isPlain), needed)
  if (together !== undefined) return allowedTogether(together.map(({ compiled }) => compiled.rule))
  // Refused. With those that fit in front, a choice names a misfit only where nothing that fits does its part.
  const preferred = [...fitting, ...candidates.filter(candidate => !fits(candidate))].filter(isPlain)
  const misfit = candidates.find(coversAlone) ?? chooseCover(preferred, needed)?.find(candidate => !fits(candidate))
  return misfit !== undefined ? misfit.compiled.denied('max_qos') : near.denied()
}

function allowedTogether(rules: readonly AclRule[]): Decision {
  return Object.freeze({ allow: true, rule: rules[0]!, rules: Object.freeze(rules) })
}

/** Collects the candidates of a trie in array order. */
class CoverSearch {
  readonly candidates: Candidate[] = []
  readonly #levels: readonly string[]
  readonly #open: boolean
  readonly #principal: Principal
  /** The first rule of the deepest node that agrees with the request. */
  near: CompiledRule
  #nearDepth = 0

  constructor(root: TrieNode, { levels, open }: SplitFilter, principal: Principal) {
    this.#levels = levels
    this.#open = open
    this.#principal = principal
    this.near = root.first
    const first = levels[0]
    // Wildcards and variables of the first level do not reach names that begin with `$` (MQTT-4.7.2-1).
    if (first?.startsWith('$')) {
      const node = root.literal(first)
      if (node !== undefined) this.#visit(node, 1)
    } else this.#visit(root, 0)
    this.candidates.sort((a, b) => a.compiled.index - b.compiled.index)
  }

  #visit(start: TrieNode, startDepth: number): void {
    let node: TrieNode | undefined = start
    for (let depth = startDepth; node !== undefined; depth++) {
      if (depth > this.#nearDepth || (depth === this.#nearDepth && node.first.index < this.near.index)) {
        this.#nearDepth = depth
        this.near = node.first
      }
      for (const compiled of node.hash ?? []) this.candidates.push({ compiled, from: depth, open: true })
      const level = this.#levels[depth]
      if (level === undefined) {
        for (const compiled of node.exact ?? []) this.candidates.push({ compiled, from: depth, open: false })
        // Behind the request's `#`, names go on with levels that nobody wrote: only `+` follows.
        if (!this.#open) return
        node = node.plus
      } else if (level === '+') node = node.plus
      else node = this.#branch(node, level, depth)
    }
  }

  /** Enters what agrees with a level that is no wildcard, and returns the branch to go on with. */
  #branch(node: TrieNode, level: string, depth: number): TrieNode | undefined {
    const { plus, variables } = node
    if (variables !== undefined && level !== '') {
      for (const edge of variables) if (this.#principal[edge.of] === level) this.#visit(edge.node, depth + 1)
    }
    const literal = node.literal(level)
    if (literal === undefined) return plus
    if (plus !== undefined) this.#visit(plus, depth + 1)
    return literal
  }
}
