import { ENDPOINT_OPTION_NAMES } from '../endpoint/index.js'
import { checkNames } from '../options.js'
import type { HttpHandlerOptions } from './types.js'

/** Options of all handlers with every default filled in. */
export interface HttpSettings {
  readonly mountpoint: string
  readonly unknownFacts: 'refuse' | 'allow'
}

const NAMES: readonly string[] = [
  ...ENDPOINT_OPTION_NAMES.filter(name => name !== 'fail'),
  ...['mountpoint', 'unknownFacts'],
]

/**
 * Checks the options that all handlers have, and that there are no others than those and `own`.
 *
 * @throws TypeError that names the option.
 */
export function resolveHttpOptions(options: HttpHandlerOptions, own: readonly string[], owner: string): HttpSettings {
  checkNames(options, new Set([...NAMES, ...own]), owner)
  const { mountpoint = '', unknownFacts } = options
  if (typeof mountpoint !== 'string') throw new TypeError('"mountpoint" option must be a string')
  return { mountpoint, unknownFacts: oneOf(unknownFacts, 'unknownFacts', ['refuse', 'allow']) }
}

/** The value, or the first of the choices when it is left out. */
export function oneOf<T extends string>(value: T | undefined, name: string, choices: readonly [T, ...T[]]): T {
  const chosen = value ?? choices[0]
  if (!choices.includes(chosen)) throw new TypeError(`"${name}" option must be one of ${choices.join(', ')}`)
  return chosen
}

/** Names of request fields, where the broker lets its operator choose them. */
export function fieldNames<N extends string>(
  value: Readonly<Partial<Record<N, string>>> | undefined,
  defaults: Readonly<Record<N, string>>,
): Readonly<Record<N, string>> {
  if (value === undefined) return defaults
  if (typeof value !== 'object' || value === null) throw new TypeError('"fields" option must be an object')
  for (const [name, field] of Object.entries(value)) {
    if (!Object.hasOwn(defaults, name)) throw new TypeError(`"fields.${name}" is not an option`)
    if (typeof field !== 'string' || field === '') throw new TypeError(`"fields.${name}" option must be a field's name`)
  }
  return { ...defaults, ...value }
}
