import { RecordInvalid } from '../../src/errors.js'

/** Runs what must be refused and gives path and message of the refusal; anything but `RecordInvalid` is passed on. */
export function faultOf(run: () => unknown): { path: string; message: string } {
  let result: unknown
  try {
    result = run()
  } catch (error) {
    if (error instanceof RecordInvalid && error.code === 'ERR_RECORD_INVALID') {
      return { path: error.path, message: error.message }
    }
    throw error
  }
  throw new Error(`not refused: ${JSON.stringify(result)}`)
}

/** Every object reachable from a value, itself included. */
export function objectsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return []
  return [value, ...Object.values(value).flatMap(objectsIn)]
}
