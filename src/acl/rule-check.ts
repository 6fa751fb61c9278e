import { quote } from '../errors.js'
import { MAX_PAYLOAD_SIZE } from './rule.js'
import type { Acl } from './types.js'

/** Tells what a value must be, where it is not that. */
type Check = (value: unknown) => string | undefined

function check(what: string, holds: (value: unknown) => boolean): Check {
  return value => (holds(value) ? undefined : `must be ${what}`)
}

const pattern = check('a string', value => typeof value === 'string')
const maxQos = check('0, 1 or 2', value => value === 0 || value === 1 || value === 2)

const PUBLISH_MEMBERS: ReadonlyMap<string, Check> = new Map([
  ['pattern', pattern],
  ['maxQos', maxQos],
  [
    'maxPayloadSize',
    check(
      `an integer from 0 to ${MAX_PAYLOAD_SIZE}`,
      value => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_PAYLOAD_SIZE,
    ),
  ],
  ['allowedRetain', check('true or false', value => typeof value === 'boolean')],
  ['modifiers', check('an object', value => typeof value === 'object' && value !== null && !Array.isArray(value))],
])
const SUBSCRIBE_MEMBERS: ReadonlyMap<string, Check> = new Map([
  ['pattern', pattern],
  ['maxQos', maxQos],
  ['modifiers', check('an array', Array.isArray)],
])

/**
 * Checks the shape of rules that a program hands over, so that a misspelt limit is a fault and not a missing limit.
 *
 * @returns Both lists; an absent one is empty and so allows nothing.
 * @throws TypeError that names the place.
 */
export function checkRules(acl: Acl): Acl {
  if (typeof acl !== 'object' || acl === null) throw new TypeError('acl: must be an object')
  for (const name of ['publish_acl', 'subscribe_acl']) {
    if (name in acl) throw new TypeError(`${name}: use parseRecord() or ${camel(name)}`)
  }
  return {
    publishAcl: checkList(acl.publishAcl, 'publishAcl', PUBLISH_MEMBERS),
    subscribeAcl: checkList(acl.subscribeAcl, 'subscribeAcl', SUBSCRIBE_MEMBERS),
  }
}

function checkList<R>(rules: readonly R[] | undefined, place: string, members: ReadonlyMap<string, Check>) {
  if (rules === undefined) return []
  if (!Array.isArray(rules)) throw new TypeError(`${place}: must be an array`)
  for (const [index, rule] of rules.entries()) checkRule(rule, `${place}[${index}]`, members)
  return rules as readonly R[]
}

function checkRule(rule: unknown, place: string, members: ReadonlyMap<string, Check>): void {
  if (typeof rule !== 'object' || rule === null) throw new TypeError(`${place}: must be an object`)
  for (const name of Object.keys(rule)) {
    if (members.has(name)) continue
    const problem = members.has(camel(name)) ? `use ${camel(name)}` : 'unknown member'
    throw new TypeError(`${place}${/^\w+$/.test(name) ? `.${name}` : `[${quote(name)}]`}: ${problem}`)
  }
  for (const [name, tell] of members) {
    const value = (rule as Record<string, unknown>)[name]
    const problem = value === undefined && name !== 'pattern' ? undefined : tell(value)
    if (problem !== undefined) throw new TypeError(`${place}.${name}: ${problem}`)
  }
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
