/** A clock that stands still until the test moves it. Hand its `now` to whatever takes one. */
export interface Clock {
  /** Milliseconds; usable unbound. */
  readonly now: () => number
  advance(ms: number): void
  set(ms: number): void
}

export function createClock(startMs = 0): Clock {
  let current = startMs
  return {
    now: () => current,
    advance(ms) {
      if (ms < 0) throw new RangeError('time does not go backwards')
      current += ms
    },
    set(ms) {
      current = ms
    },
  }
}
