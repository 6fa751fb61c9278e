import { codeAt, followLiteral, type LiteralEdges, SLASH } from './literals.js'
import { agreesWithVariable, isReserved, levelEnd, NONE, type Trie, type TrieNode } from './trie.js'
import type { Principal } from './types.js'

/** What is asked of a trie. */
export interface Question {
  /** A valid topic name, or a valid topic filter without its `#`. */
  readonly text: string
  /** Where the levels of the text begin: at 0, or at 1 for the filter `#`, which has none. */
  readonly at: number
  /** Whether it was a filter with `#`: its names go on with levels that nobody wrote, with which only `+` agrees. */
  readonly open: boolean
  /** Whether wildcards at the first level reach text that begins with `$`. */
  readonly dollarIsText: boolean
  readonly principal: Principal
}

/** A rule whose pattern agrees with a text level by level, up to where the pattern ends. */
export interface Agreeing {
  readonly index: number
  /** How many levels the pattern has, `#` not counted. */
  readonly from: number
  /** Whether the pattern ends with `#`; any other ends where the text does, or behind an open one. */
  readonly open: boolean
}

/**
 * Finds all rules that agree with a text, and the nearest rule: the first of those that agree with the most leading
 * levels. For whatever the first match alone does not settle.
 */
export class Agreement {
  /** In array order. */
  readonly rules: Agreeing[] = []
  nearest: number
  #nearestDepth = 0
  readonly #trie: Trie
  readonly #question: Question

  constructor(trie: Trie, question: Question) {
    this.#trie = trie
    this.#question = question
    this.nearest = trie.root.first
    if (!question.dollarIsText && isReserved(question.text)) {
      this.#visitLiteral(trie.root, 0, 0)
      this.#visitVariables(trie.root, 0, 0)
    } else this.#visit(trie.root, question.at, 0)
    if (this.rules.length > 1) this.rules.sort((a, b) => a.index - b.index)
  }

  /** @param at Where the next level begins: behind the text once its levels are used up. */
  #visit(node: TrieNode, at: number, depth: number): void {
    const { text, open } = this.#question
    this.#note(node.first, depth)
    this.#add(node.hash, depth, true)
    const plus = node.edges?.plus
    if (at > text.length) {
      this.#add(node.exact, depth, false)
      if (open && plus !== undefined) this.#visit(plus, at, depth + 1)
      return
    }
    this.#visitLiteral(node, at, depth)
    this.#visitVariables(node, at, depth)
    if (plus !== undefined) this.#visit(plus, levelEnd(text, at) + 1, depth + 1)
  }

  #visitLiteral({ edges }: TrieNode, at: number, depth: number): void {
    if (edges === undefined) return
    const { text } = this.#question
    const node = followLiteral(edges.literals, text, at)
    if (node !== undefined) this.#visit(node, at + node.label.length + 1, depth + countLevels(node.label))
    else if (edges.spanLevels) this.#noteParts(edges.literals, at, depth)
  }

  /** Notes the edges that agree with a text in some of their levels. */
  #noteParts(literals: LiteralEdges, at: number, depth: number): void {
    if (literals === undefined) return
    if (literals.label === undefined) for (const one of literals.table) this.#noteParts(one, at, depth)
    else this.#note(literals.first, depth + sharedLevels(this.#question.text, at, literals.label))
  }

  #visitVariables({ edges }: TrieNode, at: number, depth: number): void {
    if (edges?.variables === undefined) return
    const { text, principal, dollarIsText } = this.#question
    const end = levelEnd(text, at)
    const level = text.slice(at, end)
    const reserved = at === 0 && !dollarIsText && isReserved(text)
    for (const edge of edges.variables) {
      if (agreesWithVariable(edge, level, principal, reserved)) this.#visit(edge.node, end + 1, depth + 1)
    }
  }

  #note(first: number, depth: number): void {
    if (depth < this.#nearestDepth || (depth === this.#nearestDepth && first >= this.nearest)) return
    this.nearest = first
    this.#nearestDepth = depth
  }

  #add(first: number, depth: number, open: boolean): void {
    for (let index = first; index !== NONE; index = this.#trie.after(index))
      this.rules.push({ index, from: depth, open })
  }
}

function countLevels(label: string): number {
  let count = 1
  for (let at = label.indexOf('/'); at !== -1; at = label.indexOf('/', at + 1)) count++
  return count
}

/** How many levels of a label, from the first on, a text has at a position. */
function sharedLevels(text: string, at: number, label: string): number {
  let count = 0
  for (let end = 0; end <= label.length && at + end <= text.length; end++) {
    const code = codeAt(label, end)
    if (codeAt(text, at + end) !== code) break
    if (code === SLASH) count++
  }
  return count
}
