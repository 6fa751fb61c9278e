import type { CompiledRule } from './rule.js'
import type { Principal } from './types.js'

/** Rules by their patterns, one node per level. Variables are edges of their own, compared while walking. */
export class TrieNode {
  /** How many edges lead on, of whatever sort. */
  edges = 0
  /** The literal edge that came first. Chains of such nodes are common: a lone edge is compared without a Map. */
  label: string | undefined = undefined
  labelled: TrieNode | undefined = undefined
  plus: TrieNode | undefined = undefined
  variables: VariableEdge[] | undefined = undefined
  /** Rules whose pattern ends here, ascending. */
  exact: CompiledRule[] | undefined = undefined
  /** Rules whose pattern ends here with `#`, ascending. */
  hash: CompiledRule[] | undefined = undefined
  /** The first rule, in array order, in this node or below. */
  readonly first: CompiledRule
  /** All literal edges, where there are several. */
  #literals: Map<string, TrieNode> | undefined = undefined

  constructor(first: CompiledRule) {
    this.first = first
  }

  /** Where a literal level leads. */
  literal(level: string): TrieNode | undefined {
    if (this.#literals !== undefined) return this.#literals.get(level)
    return level === this.label ? this.labelled : undefined
  }

  addLiteral(level: string, next: TrieNode): void {
    if (this.label === undefined) {
      this.label = level
      this.labelled = next
    } else {
      this.#literals ??= new Map([[this.label, this.labelled!]])
      this.#literals.set(level, next)
    }
  }
}

/**
 * An edge `%m`, `%c` or `%u`. It is followed where the value equals a level of a valid name, or a level of a valid
 * filter that is no wildcard. Such a level holds neither `/` nor a wildcard, and so neither does a value that equals
 * it: nothing else has to be asked of values that clients choose.
 */
export interface VariableEdge {
  readonly of: keyof Principal
  readonly node: TrieNode
}

const VARIABLES: ReadonlyMap<string, keyof Principal> = new Map([
  ['%m', 'mountpoint'],
  ['%c', 'clientId'],
  ['%u', 'username'],
])

/** Adds a rule under the levels of its pattern. Rules must come in array order. */
export function insert(root: TrieNode, levels: readonly string[], rule: CompiledRule): void {
  const open = levels.at(-1) === '#'
  const length = open ? levels.length - 1 : levels.length
  let node = root
  for (let at = 0; at < length; at++) {
    const level = levels[at]!
    node = follow(node, level) ?? grow(node, level, rule)
  }
  const end = open ? 'hash' : 'exact'
  node[end] ??= []
  node[end].push(rule)
}

function follow(node: TrieNode, level: string): TrieNode | undefined {
  if (level === '+') return node.plus
  const of = VARIABLES.get(level)
  return of === undefined ? node.literal(level) : node.variables?.find(edge => edge.of === of)?.node
}

function grow(node: TrieNode, level: string, rule: CompiledRule): TrieNode {
  const next = new TrieNode(rule)
  const of = VARIABLES.get(level)
  node.edges++
  if (level === '+') node.plus = next
  else if (of === undefined) node.addLiteral(level, next)
  else {
    node.variables ??= []
    node.variables.push({ of, node: next })
  }
  return next
}
