import type { CompiledRule } from './rule.js'
import type { Principal } from './types.js'

/** Rules by their patterns, one node per level. Variables are edges of their own, compared while walking. */
export class TrieNode {
  literals: Map<string, TrieNode> | undefined = undefined
  plus: TrieNode | undefined = undefined
  /** Edges `%m`, `%c` and `%u`; most nodes have none. */
  variables: Variables | undefined = undefined
  /** Rules whose pattern ends here, ascending. */
  readonly exact: CompiledRule[] = []
  /** Rules whose pattern ends here with `#`, ascending. */
  readonly hash: CompiledRule[] = []
  /** The first rule, in array order, in this node or below. */
  first: CompiledRule

  constructor(first: CompiledRule) {
    this.first = first
  }
}

interface Variables {
  mountpoint?: TrieNode
  clientId?: TrieNode
  username?: TrieNode
}

const VARIABLES: ReadonlyMap<string, keyof Variables> = new Map([
  ['%m', 'mountpoint'],
  ['%c', 'clientId'],
  ['%u', 'username'],
])

/** Adds a rule under the levels of its pattern. Rules must come in array order. */
export function insert(root: TrieNode, levels: readonly string[], rule: CompiledRule): void {
  const open = levels.at(-1) === '#'
  const length = open ? levels.length - 1 : levels.length
  let node = root
  for (let at = 0; at < length; at++) node = edge(node, levels[at]!, rule)
  if (open) node.hash.push(rule)
  else node.exact.push(rule)
}

function edge(node: TrieNode, level: string, rule: CompiledRule): TrieNode {
  if (level === '+') {
    node.plus ??= new TrieNode(rule)
    return node.plus
  }
  const variable = VARIABLES.get(level)
  if (variable !== undefined) {
    node.variables ??= {}
    node.variables[variable] ??= new TrieNode(rule)
    return node.variables[variable]
  }
  node.literals ??= new Map()
  let next = node.literals.get(level)
  if (next === undefined) {
    next = new TrieNode(rule)
    node.literals.set(level, next)
  }
  return next
}

/**
 * Calls `visit` for every variable edge whose value is the given level.
 *
 * The level comes from a valid name, or is a level of a valid filter that is no wildcard: equal to it, a value can hold
 * neither `/` nor a wildcard, so nothing else has to be asked of values that clients choose.
 */
export function followVariables(
  variables: Variables,
  level: string,
  principal: Principal,
  visit: (node: TrieNode) => void,
): void {
  if (level === '+' || level === '#') return
  if (variables.mountpoint !== undefined && principal.mountpoint === level) visit(variables.mountpoint)
  if (variables.clientId !== undefined && principal.clientId === level) visit(variables.clientId)
  if (variables.username !== undefined && principal.username === level) visit(variables.username)
}
