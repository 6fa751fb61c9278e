/** A value, or a promise of it: what is known already is answered in the same turn, and costs no promise. */
export type MaybePromise<T> = T | Promise<T>

/** Goes on with a value, in the same turn where it is there. */
export function whenKnown<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
