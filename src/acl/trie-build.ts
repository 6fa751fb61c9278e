import { literalEdges } from './literals.js'
import type { RuleList } from './rule.js'
import { Edges, NONE, Trie, TrieNode } from './trie.js'
import type { Principal } from './types.js'

/** A pattern to be added: its levels without `#`, whether there was one, and the position of its rule. */
export interface TrieEntry {
  readonly index: number
  readonly levels: readonly string[]
  readonly open: boolean
}

/**
 * From how many literal edges on each spans one level: who looks for the nearest rule looks through all that span more.
 */
const MANY = 17
/** Longest label that V8 cuts from a text as a copy and compares at once. */
const SHORT = 12

const VARIABLES: ReadonlyMap<string, keyof Principal> = new Map([
  ['%m', 'mountpoint'],
  ['%c', 'clientId'],
  ['%u', 'username'],
])

/** Patterns that agree up to a depth and go on. */
interface Branch {
  readonly node: TrieNode
  readonly depth: number
  readonly entries: readonly TrieEntry[]
}

/**
 * Makes the trie of a list.
 *
 * @param entries In array order.
 * @param anyValue Whether the value of a variable may be empty, or begin with `$` at the first level.
 */
export function buildTrie(list: RuleList, entries: readonly TrieEntry[], anyValue: boolean): Trie {
  return new TrieBuilder(anyValue).build(list, entries)
}

class TrieBuilder {
  /** What is left to do, instead of a recursion: patterns may be deeper than the stack. */
  readonly #branches: Branch[] = []
  #followers: Map<number, number> | undefined = undefined
  readonly #anyValue: boolean

  constructor(anyValue: boolean) {
    this.#anyValue = anyValue
  }

  build(list: RuleList, entries: readonly TrieEntry[]): Trie {
    const root = this.#node(entries, 0)
    for (let branch = this.#branches.pop(); branch !== undefined; branch = this.#branches.pop()) {
      branch.node.edges = this.#edges(branch)
    }
    return new Trie(list, root, this.#followers)
  }

  #node(entries: readonly TrieEntry[], depth: number, label = ''): TrieNode {
    const exact: number[] = []
    const hash: number[] = []
    const longer: TrieEntry[] = []
    for (const entry of entries) {
      if (entry.levels.length > depth) longer.push(entry)
      else if (entry.open) hash.push(entry.index)
      else exact.push(entry.index)
    }
    const first = entries[0]?.index ?? NONE
    const node = new TrieNode(label, { first, exact: this.#chain(exact), hash: this.#chain(hash) })
    if (longer.length > 0) this.#branches.push({ node, depth, entries: longer })
    return node
  }

  /** Leads from each rule to the next one. Returns the first. */
  #chain(indexes: readonly number[]): number {
    for (let at = 1; at < indexes.length; at++) {
      this.#followers ??= new Map()
      this.#followers.set(indexes[at - 1]!, indexes[at]!)
    }
    return indexes[0] ?? NONE
  }

  #edges({ entries, depth }: Branch): Edges {
    const groups = groupsOf(entries, depth)
    const wild = groups.filter(([{ levels }]) => isWild(levels[depth]!))
    const edges = this.#literals(wild.length === 0 ? groups : groups.filter(group => !wild.includes(group)), depth)
    for (const group of wild) {
      const node = this.#node(group, depth + 1)
      const of = VARIABLES.get(group[0].levels[depth]!)
      if (of === undefined) edges.plus = node
      else edges.variables = [...(edges.variables ?? []), { of, anyValue: this.#anyValue, node }]
    }
    return edges
  }

  #literals(groups: readonly Group[], depth: number): Edges {
    if (groups.length >= MANY) {
      const nodes = groups.map(group => this.#node(group, depth + 1, group[0].levels[depth]))
      return new Edges(literalEdges(nodes), false)
    }
    const bundles = bundlesOf(groups, depth)
    const nodes = bundles.map(({ group, end, label }) => this.#node(group, end, label))
    const spanLevels = bundles.some(({ end }) => end > depth + 1)
    return new Edges(literalEdges(nodes), spanLevels)
  }
}

/** Patterns that agree up to and in one level, at least one. */
type Group = readonly [TrieEntry, ...TrieEntry[]]

/** Patterns by their level at a depth. */
function groupsOf(entries: readonly TrieEntry[], depth: number): Group[] {
  if (entries.length === 1) return [[entries[0]!]]
  const groups = new Map<string, [TrieEntry, ...TrieEntry[]]>()
  for (const entry of entries) {
    const level = entry.levels[depth]!
    const group = groups.get(level)
    if (group === undefined) groups.set(level, [entry])
    else group.push(entry)
  }
  return [...groups.values()]
}

function isWild(level: string): boolean {
  return level === '+' || VARIABLES.has(level)
}

/** Patterns that share literal levels. */
interface Bundle {
  readonly group: Group
  /** Up to which depth they do. */
  readonly end: number
  /** The levels from where the bundle begins. */
  readonly label: string
}

/** As many levels as a group shares: those from `depth` to `certain` it does. */
function bundleOf(group: Group, depth: number, certain: number): Bundle {
  const { levels } = group[0]
  let end = certain
  for (let level = levels[end]; level !== undefined && !isWild(level); level = levels[end]) {
    if (!group.every(one => one.levels[end] === level)) break
    end++
  }
  return { group, end, label: end === depth + 1 ? levels[depth]! : levels.slice(depth, end).join('/') }
}

/**
 * The edges for groups by level. Where one would only lead to a node that parts them again, its parts take its place.
 */
function bundlesOf(groups: readonly Group[], depth: number): Bundle[] {
  const bundles = groups.map(group => bundleOf(group, depth, depth + 1))
  for (let at = 0; at < bundles.length; ) {
    const parts = partsOf(bundles[at]!, depth, MANY - bundles.length)
    if (parts === undefined) at++
    else bundles.splice(at, 1, ...parts)
  }
  return bundles
}

/** What a bundle parts into at its end, if that is nothing but literal edges with short labels, and at most so many. */
function partsOf({ group, end }: Bundle, depth: number, most: number): Bundle[] | undefined {
  if (group.length === 1) return undefined
  if (group.some(({ levels }) => levels[end] === undefined || isWild(levels[end]))) return undefined
  const groups = groupsOf(group, end)
  if (groups.length > most) return undefined
  const parts = groups.map(one => bundleOf(one, depth, end + 1))
  return parts.every(({ label }) => label.length <= SHORT) ? parts : undefined
}
