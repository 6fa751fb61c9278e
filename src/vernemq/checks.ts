/** What is wrong with a value, and where in it: `''` for the value itself, otherwise the way to the part. */
export interface Problem {
  readonly at: string
  readonly text: string
}

/** Tells what is wrong with a value; `undefined` for nothing. */
export type Check = (value: unknown) => Problem | undefined

/** Most filters one packet may name; MQTT has no bound of its own. */
const MAX_FILTERS = 10_000
const RETAIN_HANDLING: readonly unknown[] = ['send_retain', 'send_if_new_sub', 'dont_send']
/** How VerneMQ writes a refused filter in what it notes. */
const NOT_ALLOWED = 128

const mustBeObject: Problem = { at: '', text: 'must be an object' }

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function must(be: string, holds: (value: unknown) => boolean): Check {
  const problem: Problem = { at: '', text: `must be ${be}` }
  return value => (holds(value) ? undefined : problem)
}

function optional(check: Check): Check {
  return value => (value === undefined ? undefined : check(value))
}

/** Looks at members by name, those that are there as the object's own; further ones are ignored. */
export function objectWith(members: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(members)
  return value => {
    if (!isObject(value)) return mustBeObject
    for (const [name, check] of checks) {
      const problem = check(Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined)
      if (problem !== undefined) return { at: `.${name}${problem.at}`, text: problem.text }
    }
    return undefined
  }
}

function listOf(check: Check): Check {
  return value => {
    if (!Array.isArray(value)) return { at: '', text: 'must be an array' }
    if (value.length > MAX_FILTERS) return { at: '', text: `must have at most ${MAX_FILTERS} items` }
    for (let index = 0; index < value.length; index++) {
      const problem = check(value[index])
      if (problem !== undefined) return { at: `[${index}]${problem.at}`, text: problem.text }
    }
    return undefined
  }
}

export const text: Check = must('a string', value => typeof value === 'string')
export const nullableText: Check = must('a string or null', value => value === null || typeof value === 'string')
export const optionalText: Check = optional(text)
export const flag: Check = must('true or false', value => typeof value === 'boolean')
export const qos: Check = must('0, 1 or 2', isQos)
export const port: Check = must('an integer from 0 to 65535', value => {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535
})
export const properties: Check = must('an object', isObject)
export const filters: Check = listOf(text)
export const subscriptions: Check = listOf(subscription(qos))
export const notedSubscriptions: Check = listOf(
  subscription(must('0, 1 or 2', value => value === NOT_ALLOWED || isQos(value))),
)

function isQos(value: unknown): boolean {
  return value === 0 || value === 1 || value === 2
}

function subscription(qos: Check): Check {
  const isRetainHandling = (value: unknown) => RETAIN_HANDLING.includes(value)
  return objectWith({
    topic: text,
    qos,
    no_local: optional(flag),
    rap: optional(flag),
    retain_handling: optional(must('"send_retain", "send_if_new_sub" or "dont_send"', isRetainHandling)),
  })
}
