import { type CompiledRule, UNKNOWN_SIZE } from './rule.js'
import type { TrieNode } from './trie.js'
import type { Allowed, Denied, MissedLimit, Principal } from './types.js'

/** How a text is read. */
export interface Reading {
  /** Whether wildcards at the first level reach text that begins with `$`. */
  readonly dollarIsText: boolean
  /** Whether the value of a variable may be empty, or begin with `$` at the first level. */
  readonly anyValue: boolean
}

const SLASH = 0x2f
const DOLLAR = 0x24

/**
 * Finds the first rule, in array order, whose pattern matches a text level by level and whose limits fit.
 *
 * One walk over the trie: only branches that agree with the text are entered, and none whose first rule comes behind
 * one already found. A walk object is reused for every decision of its thread, so that deciding allocates next to
 * nothing; decisions are synchronous and cannot meet in it.
 */
class MatchWalk {
  #text = ''
  #principal!: Principal
  #reading!: Reading
  #qos = 0
  #payloadSize = UNKNOWN_SIZE
  #retain = false
  #best: CompiledRule | undefined
  #misfit: CompiledRule | undefined
  #missed: MissedLimit | undefined
  #near!: CompiledRule
  #nearDepth = 0

  limits(qos: number, payloadSize: number, retain: boolean): this {
    this.#qos = qos
    this.#payloadSize = payloadSize
    this.#retain = retain
    return this
  }

  decide(root: TrieNode, text: string, principal: Principal, reading: Reading): Allowed | Denied {
    this.#text = text
    this.#principal = principal
    this.#reading = reading
    this.#best = this.#misfit = undefined
    this.#near = root.first
    this.#nearDepth = 0
    if (reading.dollarIsText || text.charCodeAt(0) !== DOLLAR) this.#visit(root, 0, 0)
    else this.#visitDollar(root)
    const best = this.#best as CompiledRule | undefined
    if (best !== undefined) return best.allowed
    const misfit = this.#misfit as CompiledRule | undefined
    return misfit !== undefined ? misfit.denied(this.#missed) : this.#near.denied()
  }

  /** The first level begins with `$`: neither `+` nor `#` reaches it (MQTT-4.7.2-1). */
  #visitDollar(root: TrieNode): void {
    const end = this.#levelEnd(0)
    const level = this.#text.slice(0, end)
    const node = root.literal(level)
    if (node !== undefined) this.#visit(node, end + 1, 1)
    if (this.#reading.anyValue) this.#visitVariables(root, level, end + 1, 1)
  }

  /** @param at Where the next level begins: behind the text once its levels are used up. */
  #visit(start: TrieNode, at: number, depth: number): void {
    const text = this.#text
    let node: TrieNode | undefined = start
    while (node !== undefined) {
      if (this.#best !== undefined && node.first.index > this.#best.index) return
      if (depth > this.#nearDepth || (depth === this.#nearDepth && node.first.index < this.#near.index)) {
        this.#near = node.first
        this.#nearDepth = depth
      }
      if (node.hash !== undefined) this.#offer(node.hash)
      if (at > text.length) {
        if (node.exact !== undefined) this.#offer(node.exact)
        return
      }
      if (node.edges === 0) return
      depth++
      if (node.edges === 1 && node.label !== undefined) {
        // The common case, compared where it stands: the level is the label if it begins so and ends there.
        const end: number = at + node.label.length
        if ((end !== text.length && text.charCodeAt(end) !== SLASH) || !text.startsWith(node.label, at)) return
        node = node.labelled
        at = end + 1
      } else {
        const end = this.#levelEnd(at)
        node = this.#branch(node, at, end, depth)
        at = end + 1
      }
    }
  }

  /** Enters all branches that agree with a level but one, which it returns. */
  #branch(node: TrieNode, at: number, end: number, depth: number): TrieNode | undefined {
    const { plus } = node
    if (plus !== undefined && node.edges === 1) return plus
    const level = this.#text.slice(at, end)
    this.#visitVariables(node, level, end + 1, depth)
    const literal = node.literal(level)
    if (literal === undefined) return plus
    if (plus !== undefined) this.#visit(plus, end + 1, depth)
    return literal
  }

  #visitVariables({ variables }: TrieNode, level: string, next: number, depth: number): void {
    if (variables === undefined || level === '+' || level === '#') return
    if (level === '' && !this.#reading.anyValue) return
    for (const edge of variables) {
      if (this.#principal[edge.of] === level) this.#visit(edge.node, next, depth)
    }
  }

  #levelEnd(at: number): number {
    const end = this.#text.indexOf('/', at)
    return end === -1 ? this.#text.length : end
  }

  #offer(rules: readonly CompiledRule[]): void {
    for (const rule of rules) {
      if (this.#best !== undefined && rule.index > this.#best.index) return
      const missed = rule.missedLimit(this.#qos, this.#payloadSize, this.#retain)
      if (missed === undefined) {
        this.#best = rule
        return
      }
      if (this.#misfit === undefined || rule.index < this.#misfit.index) {
        this.#misfit = rule
        this.#missed = missed
      }
    }
  }
}

/** The walk of this thread. */
export const matchWalk: MatchWalk = new MatchWalk()
