import { type CompiledRule, UNKNOWN_SIZE } from './rule.js'
import { followVariables, type TrieNode } from './trie.js'
import type { Allowed, Denied, MissedLimit, Principal } from './types.js'

/** How a text is read. */
export interface Reading {
  /** Whether wildcards and variables at the first level reach text that begins with `$`. */
  readonly dollarIsText: boolean
  /** Whether an empty value of a variable matches an empty level. */
  readonly emptyValues: boolean
}

const END = -1

/**
 * Finds the first rule, in array order, whose pattern matches a text level by level and whose limits fit.
 *
 * One walk over the trie: only branches that agree with the text are entered, and none whose first rule comes behind one
 * already found. A walk object is reused for every decision of its thread, so that deciding allocates nothing; decisions
 * are synchronous and cannot meet in it.
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
  #near: CompiledRule | undefined
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
    this.#start(root)
    const best = this.#best as CompiledRule | undefined
    if (best !== undefined) return best.allowed
    const misfit = this.#misfit as CompiledRule | undefined
    return misfit !== undefined ? misfit.denied(this.#missed) : this.#near.denied()
  }

  #start(root: TrieNode): void {
    if (this.#reading.dollarIsText || this.#text.charCodeAt(0) !== 0x24) {
      this.#visit(root, 0, 0)
      return
    }
    const end = this.#text.indexOf('/')
    const node = root.literals?.get(end === -1 ? this.#text : this.#text.slice(0, end))
    if (node !== undefined) this.#visit(node, end === -1 ? END : end + 1, 1)
  }

  /** @param at Where the next level begins, or `END` behind the last. */
  #visit(start: TrieNode, at: number, depth: number): void {
    let node: TrieNode | undefined = start
    while (node !== undefined) {
      if (this.#best !== undefined && node.first.index > this.#best.index) return
      if (depth > this.#nearDepth || (depth === this.#nearDepth && node.first.index < this.#near!.index)) {
        this.#near = node.first
        this.#nearDepth = depth
      }
      if (node.hash.length > 0) this.#offer(node.hash)
      if (at === END) {
        if (node.exact.length > 0) this.#offer(node.exact)
        return
      }
      const end = this.#text.indexOf('/', at)
      const next = end === -1 ? END : end + 1
      const { literals, plus, variables }: TrieNode = node
      let ahead: TrieNode | undefined
      if (literals !== undefined || variables !== undefined) {
        const level = end === -1 ? this.#text.slice(at) : this.#text.slice(at, end)
        ahead = literals?.get(level)
        if (variables !== undefined && (level !== '' || this.#reading.emptyValues)) {
          followVariables(variables, level, this.#principal, found => this.#visit(found, next, depth + 1))
        }
      }
      if (ahead === undefined) ahead = plus
      else if (plus !== undefined) this.#visit(plus, next, depth + 1)
      node = ahead
      at = next
      depth++
    }
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
