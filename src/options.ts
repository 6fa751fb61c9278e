/**
 * Returns `value`, or `fallback` when it is left out.
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

/** Whether an object has all of these functions. */
export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return names.every(name => typeof (value as Record<string, unknown> | null | undefined)?.[name] === 'function')
}
