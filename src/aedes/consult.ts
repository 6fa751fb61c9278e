/** What a hook of somebody else answered. */
export interface Answer {
  /** Anything but `undefined`: it refused, threw, rejected, or did not answer in time. */
  readonly error?: unknown
  readonly value?: unknown
}

/** A question to a hook written in callback style. */
export interface Question {
  /** Calls the hook; what it throws or returns as a rejected promise counts as its answer. */
  ask(callback: (error?: unknown, value?: unknown) => void): unknown
  /** Called exactly once; in the same turn when the hook answers in it. */
  done(answer: Answer): void
  /** Hears what is thrown after the answer. */
  fault(error: unknown): void
  readonly deadlineMs: number
}

/** Asks a hook, and takes care that there is one answer, whatever the hook does. */
export function consult({ ask, done, fault, deadlineMs }: Question): void {
  let isAnswered = false
  let timer: NodeJS.Timeout | undefined
  const answer = (given: Answer): void => {
    if (isAnswered) return
    isAnswered = true
    clearTimeout(timer)
    done(given)
  }
  const fail = (error: unknown): void => {
    if (isAnswered) fault(error)
    else answer({ error: error ?? new Error('failed without an error') })
  }
  try {
    const returned = ask((error, value) => answer(error ? { error } : { value }))
    if (isPromiseLike(returned)) returned.then(undefined, fail)
  } catch (error) {
    fail(error)
  }
  if (!isAnswered) timer = setTimeout(() => fail(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs).unref()
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function'
}

/**
 * Resolves as `work` does, but not later than the deadline. What it rejects with, or that it was late, goes to `fault`;
 * the answer is then `undefined`.
 */
export async function withinDeadline<T>(
  work: Promise<T>,
  deadlineMs: number,
  fault: (error: unknown) => void,
): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${deadlineMs} ms`)), deadlineMs).unref()
  })
  try {
    return await Promise.race([work, late])
  } catch (error) {
    fault(error)
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
