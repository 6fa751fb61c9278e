/**
 * Allowed patterns, requested filter, whether the patterns together cover it.
 *
 * The rows that other matchers get wrong, by asking whether the filter *matches*, are marked.
 */
export const COVERS: readonly (readonly [patterns: readonly string[], requested: string, covered: boolean])[] = [
  [['a/b'], 'a/b', true],
  [['a/b'], 'a/B', false],
  [['a/b'], 'a/+', false],
  [['a/b'], 'a/#', false],
  [['a/b'], '+/b', false],
  [['a/+'], 'a/b', true],
  [['a/+'], 'a/+', true],
  [['a/+'], 'a/', true],
  [['a/+'], 'a', false],
  [['a/+'], 'a/#', false], // matched as text by the field
  [['a/+'], '+/+', false],
  [['a/+/c'], 'a/#', false],
  [['a/+/c'], 'a/+/c', true],
  [['a/+/c'], 'a/b/c', true],
  [['a/#'], 'a', true],
  [['a/#'], 'a/+', true],
  [['a/#'], 'a/#', true],
  [['a/#'], 'a/+/#', true],
  [['a/#'], 'a/b/c/#', true],
  [['a/#'], '#', false],
  [['a/#'], '+/#', false],
  [['a/+/#'], 'a/#', false], // `a` itself is not covered
  [['a/+/#'], 'a/+', true],
  [['+/b'], '#', false],
  [['+'], '#', false], // matched as text by the field
  [['+/#'], '#', true],
  [['#'], '#', true],
  [['#'], '+/+', true],
  [['#'], '$SYS/#', false], // `#` does not reach names that begin with `$`
  [['#'], '$SYS/broker', false],
  [['+/#'], '$SYS/+', false],
  [['$SYS/#'], '$SYS/#', true],
  [['$SYS/#'], '$SYS/broker/+', true],
  [['$SYS/#'], '#', false],
  [['/#'], '+/+', false],
  [['a/b', 'a/c'], 'a/+', false],
  [['a', 'a/+/#'], 'a/#', true], // only the union covers
  [['a/+', 'a/+/#'], 'a/#', false],
  [['a/#'], 'a/#/b', false], // an invalid request
  [['#'], '#/a', false],
  [['#', '+'], 'a#', false],
  [['a/#/b', 'a#'], 'a/x', false], // invalid patterns
  [[], 'a', false],
  [['/+/#'], '/#', true], // the name of one empty level does not exist
  [['/+/#'], '/', true],
  [['/+'], '/#', false],
  [['/+', '/+/+/#'], '/#', true],
  [['+/+/#'], '/#', true],
  [['+/+/#'], '#', false],
  [['+', '+/+', '+/+/+/#'], '#', true],
  [['+', '+/+/+/#'], '#', false],
  [['a', 'a/+', 'a/b', 'a/+/+/#'], 'a/#', true],
  [['a/+/+/#', 'a/b', 'a'], 'a/#', false],
  [['+', '/+'], '+', true],
  [['__proto__/#'], '__proto__/constructor', true],
  [['%c/#'], '%c/a', true], // variables are the business of compileAcl
  [['%c/#'], 'x/a', false],
  [['a/#'], '$share/g/a/+', true],
  [['a/#'], '$share/g/b', false],
  [['#'], '$share//a', false],
  [['#'], '$share/g', false],
  [['#'], '$share/g/$SYS/x', false],
]
