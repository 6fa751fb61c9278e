import { Util } from 'casbin'
import matchLevels from 'mqtt-match'
import { matches } from 'mqtt-pattern'
import { QlobberTrue } from 'qlobber'
import { createFloor } from './floor.js'

/** Answers whether a list of patterns lets a text through. */
export type Answer = (text: string) => boolean

export const LOOP = 'mqtt-match loop'
export const QLOBBER = 'qlobber test'
const PATTERN = 'mqtt-pattern loop'
const CASBIN = 'casbin keyMatch2 loop'
/** The peers that say of a filter whether some pattern lets it through. */
export const MATCHERS: readonly string[] = [LOOP, PATTERN, QLOBBER, CASBIN]
export const FLOOR = 'floor: bare trie'
export const EXACT = 'floor: exact names'

/**
 * What brokers and their users reach for, and the least that a right answer costs. They validate nothing, know no limits,
 * and cannot tell which rule it was.
 */
export function createPeers(patterns: readonly string[]): Readonly<Record<string, Answer>> {
  const glob = patterns.map(pattern => pattern.replace('/#', '/*'))
  const named = glob.map(pattern => pattern.replace('/+', '/:name'))
  const braced = glob.map(pattern => pattern.replace('/+', '/{name}'))
  const qlobber = createQlobber(patterns)
  return {
    [LOOP]: loop(patterns, (pattern, text) => matchLevels(pattern, text)),
    [PATTERN]: loop(patterns, (pattern, text) => matches(pattern, text)),
    [QLOBBER]: text => qlobber.test(text),
    // Knows one wildcard, at the end: what is written behind the first is lost.
    'casbin keyMatch loop': loop(
      glob.map(pattern => pattern.replace('/+', '/*')),
      (pattern, text) => Util.keyMatchFunc(text, pattern),
    ),
    [CASBIN]: loop(named, (pattern, text) => Util.keyMatch2Func(text, pattern)),
    'casbin keyMatch4 loop': loop(braced, (pattern, text) => Util.keyMatch4Func(text, pattern)),
    [FLOOR]: createFloor(patterns),
  }
}

/** Patterns one after another until one matches. */
function loop(patterns: readonly string[], matches: (pattern: string, text: string) => boolean): Answer {
  return text => {
    for (const pattern of patterns) if (matches(pattern, text)) return true
    return false
  }
}

function createQlobber(patterns: readonly string[]): QlobberTrue {
  const qlobber = new QlobberTrue({
    separator: '/',
    wildcard_one: '+',
    wildcard_some: '#',
    match_empty_levels: true,
    max_words: 70_000,
  })
  for (const pattern of patterns) qlobber.add(pattern)
  return qlobber
}
