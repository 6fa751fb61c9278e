import { followLiteral } from './literals.js'
import { isPlainFrom, plainLevelEnd } from './topic.js'
import { agreesWithVariable, isReserved, NONE, type Trie, type TrieNode } from './trie.js'
import type { Principal } from './types.js'

/** Stands behind every rule. */
const BEHIND = 0x3fffffff
/** Stands before every rule, and so ends a search. */
const UNSURE = NONE

/** Longest name that is searched for: a level may be looked at several times. */
const LONGEST = 256

/**
 * Finds the first rule, in array order, whose pattern matches a topic name, as fast as can be.
 *
 * The name need not be valid. What equals literal levels of a pattern is; what wildcards and variables stand for is
 * looked at on the way, and anything out of the ordinary ends the search. So a rule that is returned matches, and the
 * name is valid; {@link NONE} says nothing, and the name has to be judged and decided in full.
 *
 * Only branches that agree with the name are entered, and none whose first rule comes behind one already found.
 */
export function findFirstMatch({ root }: Trie, name: string, principal: Principal): number {
  if (name.length === 0 || name.length > LONGEST) return NONE
  const first = isReserved(name) ? firstReserved(root, name, principal) : firstBelow(root, name, 0, principal)
  return first === BEHIND ? NONE : first
}

/**
 * The first rule that matches from a node on, {@link BEHIND} for none.
 *
 * @param from Where the next level begins: behind the name once its levels are used up.
 */
function firstBelow(start: TrieNode, name: string, from: number, principal: Principal): number {
  let best = BEHIND
  let node = start
  let at = from
  while (node.first < best) {
    if (node.hash !== NONE && node.hash < best) best = isPlainFrom(name, at) ? node.hash : UNSURE
    if (at > name.length) return node.exact !== NONE && node.exact < best ? node.exact : best
    const { edges } = node
    if (edges === undefined) return best
    const { plus } = edges
    if (edges.variables !== undefined) best = Math.min(best, firstByVariable(node, name, at, principal))
    const literal = followLiteral(edges.literals, name, at)
    if (literal !== undefined) {
      if (plus !== undefined) best = Math.min(best, firstByPlus(plus, name, at, principal))
      node = literal
      at += literal.label.length + 1
    } else {
      if (plus === undefined) return best
      node = plus
      at = plainLevelEnd(name, at) + 1
      if (at === 0) return UNSURE
    }
  }
  return best
}

/** Behind a level that may be any. */
function firstByPlus(plus: TrieNode, name: string, at: number, principal: Principal): number {
  const end = plainLevelEnd(name, at)
  return end === -1 ? UNSURE : firstBelow(plus, name, end + 1, principal)
}

function firstByVariable({ edges }: TrieNode, name: string, at: number, principal: Principal): number {
  const end = plainLevelEnd(name, at)
  if (end === -1) return UNSURE
  const level = name.slice(at, end)
  const reserved = at === 0 && isReserved(name)
  let best = BEHIND
  for (const edge of edges?.variables ?? []) {
    if (agreesWithVariable(edge, level, principal, reserved)) {
      best = Math.min(best, firstBelow(edge.node, name, end + 1, principal))
    }
  }
  return best
}

/** The first level begins with `$`: neither `+` nor `#` reaches it (MQTT-4.7.2-1). */
function firstReserved(root: TrieNode, name: string, principal: Principal): number {
  const literal = followLiteral(root.edges?.literals, name, 0)
  const best = literal === undefined ? BEHIND : firstBelow(literal, name, literal.label.length + 1, principal)
  return Math.min(best, firstByVariable(root, name, 0, principal))
}
