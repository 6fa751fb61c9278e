/**
 * Returns the value of an option, or `fallback` when it is left out.
 *
 * @throws TypeError that names the option, when the value is no integer from `min` to `max`.
 */
export function integerOption(
  options: object,
  name: string,
  { fallback, min, max }: { readonly fallback: number; readonly min: number; readonly max: number },
): number {
  const { [name]: value = fallback } = options as Record<string, unknown>
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new TypeError(`"${name}" option must be an integer from ${min} to ${max}`)
  }
  return value
}

/**
 * Refuses names that mean nothing: a misspelt limit would be none, and a misspelt condition would not be looked at.
 *
 * @param owner What takes the options, e.g. `createAuthorizer`.
 * @param place Put before the names in messages, for options within one: `rehash.`.
 * @throws TypeError that names the option, or that `options` is no object.
 */
export function checkNames(options: object, names: ReadonlySet<string>, owner: string, place: string = ''): void {
  if (typeof options !== 'object' || options === null) throw new TypeError('"options" must be an object')
  for (const name of Object.keys(options)) {
    if (!names.has(name)) throw new TypeError(`"${place}${name}" is not an option of ${owner}`)
  }
}

/**
 * Returns the value of an option, or `fallback` when it is left out.
 *
 * @throws TypeError that names the option, when it is no boolean.
 */
export function booleanOption(options: object, name: string, fallback: boolean): boolean {
  const { [name]: value = fallback } = options as Record<string, unknown>
  if (typeof value !== 'boolean') throw new TypeError(`"${name}" option must be true or false`)
  return value
}

/** Whether an object has all of these functions. */
export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return names.every(name => typeof (value as Record<string, unknown> | null | undefined)?.[name] === 'function')
}
