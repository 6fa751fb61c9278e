import type { Acl } from './types.js'

const COMMON = ['pattern', 'maxQos', 'modifiers']
const PUBLISH_MEMBERS: ReadonlySet<string> = new Set([...COMMON, 'maxPayloadSize', 'allowedRetain'])
const SUBSCRIBE_MEMBERS: ReadonlySet<string> = new Set(COMMON)

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

function checkList<R extends object>(rules: readonly R[] | undefined, place: string, members: ReadonlySet<string>) {
  if (rules === undefined) return []
  if (!Array.isArray(rules)) throw new TypeError(`${place}: must be an array`)
  for (const [index, rule] of rules.entries()) checkRule(rule, `${place}[${index}]`, members)
  return rules as readonly R[]
}

function checkRule(rule: unknown, place: string, members: ReadonlySet<string>): void {
  if (typeof rule !== 'object' || rule === null) throw new TypeError(`${place}: must be an object`)
  const { pattern, maxQos, maxPayloadSize, allowedRetain } = rule as Record<string, unknown>
  for (const name of Object.keys(rule)) {
    if (members.has(name)) continue
    throw new TypeError(`${place}.${name}: ${members.has(camel(name)) ? `use ${camel(name)}` : 'unknown member'}`)
  }
  if (typeof pattern !== 'string') throw new TypeError(`${place}.pattern: must be a string`)
  if (maxQos !== undefined && maxQos !== 0 && maxQos !== 1 && maxQos !== 2) {
    throw new TypeError(`${place}.maxQos: must be 0, 1 or 2`)
  }
  if (maxPayloadSize !== undefined && !(Number.isInteger(maxPayloadSize) && (maxPayloadSize as number) >= 0)) {
    throw new TypeError(`${place}.maxPayloadSize: must be an integer from 0`)
  }
  if (allowedRetain !== undefined && typeof allowedRetain !== 'boolean') {
    throw new TypeError(`${place}.allowedRetain: must be true or false`)
  }
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
