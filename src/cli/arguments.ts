import { InvalidArgumentError } from 'commander'

/** Reads an argument that is an integer. */
export function integer(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`must be an integer from ${min} to ${max}`)
    }
    return value
  }
}

/** Gathers an option that is given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}
