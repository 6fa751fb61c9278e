import type { Answer } from './subjects.js'

interface Node {
  readonly children: Map<string, Node>
  any: Node | undefined
  isEnd: boolean
  isOpen: boolean
}

function createNode(): Node {
  return { children: new Map(), any: undefined, isEnd: false, isOpen: false }
}

/**
 * What a right answer costs with a plain trie of maps, which cuts the levels of a name as it goes, checks nothing of it, and
 * says yes or no.
 */
export function createFloor(patterns: readonly string[]): Answer {
  const root = createNode()
  for (const pattern of patterns) add(root, pattern)
  return text => walk(root, text, 0)
}

function add(root: Node, pattern: string): void {
  let node = root
  for (const level of pattern.split('/')) {
    if (level === '#') {
      node.isOpen = true
      return
    }
    if (level === '+') node = node.any ??= createNode()
    else {
      const next = node.children.get(level) ?? createNode()
      node.children.set(level, next)
      node = next
    }
  }
  node.isEnd = true
}

function walk(node: Node, text: string, from: number): boolean {
  // Wildcards of the first level are kept from names such as `$SYS`.
  const isOrdinary = from > 0 || !text.startsWith('$')
  if (node.isOpen && isOrdinary) return true
  if (from > text.length) return node.isEnd
  const slash = text.indexOf('/', from)
  const end = slash < 0 ? text.length : slash
  const next = node.children.get(text.slice(from, end))
  if (next !== undefined && walk(next, text, end + 1)) return true
  return isOrdinary && node.any !== undefined && walk(node.any, text, end + 1)
}
