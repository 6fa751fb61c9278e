import type { LiteralEdges } from './literals.js'
import type { RuleList } from './rule.js'
import type { Principal } from './types.js'

/*
 * The patterns of a list as a trie of levels.
 *
 * A node stands for the leading levels that some patterns share; it knows which of them end there and which edges lead
 * on: at most one `+`, one for each variable, and literal ones. A literal edge spans all levels up to the next node
 * that is needed, so that a chain of literals is one comparison (literals.ts tells how one of several is found). Rules
 * appear as their positions in the list, which knows their limits and answers. A rule without relatives takes two small
 * objects or one, and no maps and lists of its own.
 */

/** Stands for no rule. */
export const NONE = -1

const DOLLAR = 0x24

/** Where patterns part or end. Rules are positions in the list, or {@link NONE}. */
export class TrieNode {
  /** The literal levels that lead here from the node above, joined by `/`; empty behind any other edge. */
  readonly label: string
  /** The first rule, in array order, whose pattern ends here or below. */
  readonly first: number
  /** The first rule whose pattern ends here. */
  readonly exact: number
  /** The first rule whose pattern ends here with `#`. */
  readonly hash: number
  /** Left out where no pattern goes on. */
  edges: Edges | undefined = undefined

  constructor(label: string, { first, exact, hash }: Pick<TrieNode, 'first' | 'exact' | 'hash'>) {
    this.label = label
    this.first = first
    this.exact = exact
    this.hash = hash
  }
}

/** An edge `%m`, `%c` or `%u`. */
export interface VariableEdge {
  readonly of: keyof Principal
  /** Whether a value may be empty, or begin with `$` at the first level. */
  readonly anyValue: boolean
  readonly node: TrieNode
}

/** The edges that lead on from a node. */
export class Edges {
  plus: TrieNode | undefined = undefined
  variables: VariableEdge[] | undefined = undefined
  readonly literals: LiteralEdges
  /** Whether any of them spans several levels, so that a text can agree with a part of it. They are few then. */
  readonly spanLevels: boolean

  constructor(literals: LiteralEdges, spanLevels: boolean) {
    this.literals = literals
    this.spanLevels = spanLevels
  }
}

/** The patterns of a list. */
export class Trie {
  readonly list: RuleList
  readonly root: TrieNode
  /** Of rules that end at one node in one way, each but the last leads to the next. */
  readonly #followers: ReadonlyMap<number, number> | undefined

  constructor(list: RuleList, root: TrieNode, followers: ReadonlyMap<number, number> | undefined) {
    this.list = list
    this.root = root
    this.#followers = followers
  }

  /** The next rule that ends where this one does and as it does, in array order. */
  after(index: number): number {
    return this.#followers?.get(index) ?? NONE
  }
}

/** Whether the first level of a text begins with a `$` that keeps wildcards from it (MQTT-4.7.2-1). */
export function isReserved(text: string): boolean {
  return text.charCodeAt(0) === DOLLAR
}

/**
 * Whether a variable stands for a level of a valid name or filter.
 *
 * Such a level holds no `/`, and a wildcard only where it is one, and so does a value that equals it: nothing else has
 * to be asked of values that clients choose.
 *
 * @param reserved Whether it is a first level that wildcards do not reach.
 */
export function agreesWithVariable(
  edge: VariableEdge,
  level: string,
  principal: Principal,
  reserved: boolean,
): boolean {
  if (principal[edge.of] !== level || level === '+' || level === '#') return false
  return edge.anyValue || (level !== '' && !reserved)
}

/** Where the level that begins at a position ends. */
export function levelEnd(text: string, at: number): number {
  const end = text.indexOf('/', at)
  return end === -1 ? text.length : end
}
