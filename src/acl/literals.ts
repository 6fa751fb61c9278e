import type { TrieNode } from './trie.js'

/*
 * Which of several literal edges a text can follow is told by single characters: the one at a certain distance chooses
 * among the labels, another chooses again if need be, and the one label that is left is compared as a whole. So a
 * choice decides nothing; it must only never lose the label that agrees. It looks no further than the shortest label
 * reaches, and reads the end of a label as the `/` that stands there in a longer text.
 */

export const SLASH = 0x2f

/** How many characters are looked at for the one that tells most labels apart, as long as some has told any apart. */
const FAR = 64
/** How many labels have a say in that. */
const SAMPLE = 64

/** What literal edges there are: one, several to choose from, or none. */
export type LiteralEdges = TrieNode | Choice | undefined

/** Several literal edges. */
class Choice {
  /** Tells it from a node, faster than its class does. */
  readonly label: undefined = undefined
  /** How far from the beginning the character stands that chooses. */
  readonly pivot: number
  /** Which of its bits do: as many as the table has places for, above the lowest ones. */
  readonly shift: number
  /** As long as a power of two. */
  readonly table: readonly LiteralEdges[]

  constructor(pivot: number, shift: number, table: readonly LiteralEdges[]) {
    this.pivot = pivot
    this.shift = shift
    this.table = table
  }
}

/** Where the literal levels lead that begin at a position of a text. */
export function followLiteral(edges: LiteralEdges, text: string, at: number): TrieNode | undefined {
  let found = edges
  while (found !== undefined && found.label === undefined) {
    found = found.table[(codeAt(text, at + found.pivot) >> found.shift) & (found.table.length - 1)]
  }
  if (found === undefined) return undefined
  const { label } = found
  const end = at + label.length
  // V8 compares slices of ordinary length some times faster than it answers `startsWith`.
  const agrees = (end === text.length || text.charCodeAt(end) === SLASH) && text.slice(at, end) === label
  return agrees ? found : undefined
}

/** What goes to a place of a table. */
interface Placed {
  readonly nodes: readonly TrieNode[]
  readonly table: LiteralEdges[]
  readonly place: number
}

/**
 * Makes literal edges ready for {@link followLiteral}.
 *
 * @param nodes No label of one begins with all levels of another.
 */
export function literalEdges(nodes: readonly TrieNode[]): LiteralEdges {
  const made: LiteralEdges[] = []
  // A list of what is left to do instead of a recursion, which a choice that parts few would make deep.
  const pending: Placed[] = [{ nodes, table: made, place: 0 }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    next.table[next.place] = next.nodes.length < 2 ? next.nodes[0] : choose(next.nodes, pending)
  }
  return made[0]
}

/** A choice, and what has yet to be put into its table. It parts any two labels or more, so there is an end to it. */
function choose(nodes: readonly TrieNode[], pending: Placed[]): Choice {
  const pivot = pivotOf(nodes.map(({ label }) => label))
  const codes = nodes.map(({ label }) => codeAt(label, pivot))
  const distinct = [...new Set(codes)]
  let size = 2
  while (size < distinct.length) size *= 2
  const shift = shiftFor(distinct, size)
  const table = Array.from({ length: size }, (): LiteralEdges => undefined)
  const groups = new Map<number, TrieNode[]>()
  for (const [at, node] of nodes.entries()) {
    const place = (codes[at]! >> shift) & (size - 1)
    const group = groups.get(place)
    if (group === undefined) groups.set(place, [node])
    else group.push(node)
  }
  for (const [place, group] of groups) pending.push({ nodes: group, table, place })
  return new Choice(pivot, shift, table)
}

/** The character at a position; behind the end of a text the one that ends a level. */
export function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : SLASH
}

/** The position at which most labels have a character of their own: at least two of them have. */
function pivotOf(labels: readonly string[]): number {
  const shortest = labels.reduce((a, b) => (b.length < a.length ? b : a))
  const sample = [shortest, ...labels.slice(0, SAMPLE)]
  let best = 0
  let most = 1
  for (let at = 0; at <= shortest.length && (at < FAR || most === 1); at++) {
    const { size } = new Set(sample.map(label => codeAt(label, at)))
    if (size > most) {
      best = at
      most = size
    }
  }
  return best
}

/** The bits by which most characters are told apart: any two of them differ in one. */
function shiftFor(codes: readonly number[], size: number): number {
  let best = 0
  let most = 0
  for (let shift = 0; shift < 16 && most < codes.length; shift++) {
    const places = new Set(codes.map(code => (code >> shift) & (size - 1)))
    if (places.size > most) {
      best = shift
      most = places.size
    }
  }
  return best
}
