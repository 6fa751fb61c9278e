import type { Semantics } from '../acl/types.js'
import { quote, RecordInvalid } from '../errors.js'
import { checkNames, integerOption } from '../options.js'

/** Bounds on what a record may hold. A record beyond them is refused, never cut. */
export interface RecordLimits {
  /**
   * Largest JSON text, in bytes of UTF-8. Integer from 1 to 67,108,864.
   *
   * @default 1_048_576
   */
  readonly maxBytes?: number
  /**
   * Most rules, both lists together. Integer from 1 to 1,000,000.
   *
   * @default 10_000
   */
  readonly maxRules?: number
}

/** Deepest nesting of arrays and objects, the record itself included. */
export const MAX_DEPTH = 32

const LIMITS: ReadonlySet<string> = new Set(['maxBytes', 'maxRules'])

/**
 * Fills in the defaults.
 *
 * @param owner What takes the limits, e.g. `validateRecord`.
 * @param names What it takes, where that is more than limits.
 * @throws TypeError for a name that is none of them, and for a limit out of range.
 */
export function checkLimits(
  limits: RecordLimits,
  owner: string,
  names: ReadonlySet<string> = LIMITS,
): Required<RecordLimits> {
  checkNames(limits, names, owner)
  return {
    maxBytes: integerOption(limits, 'maxBytes', { fallback: 1_048_576, min: 1, max: 67_108_864 }),
    maxRules: integerOption(limits, 'maxRules', { fallback: 10_000, min: 1, max: 1_000_000 }),
  }
}

/** How members are spelt: `wire` in JSON (`max_qos`), `name` in a program (`maxQos`). */
export type Spelling = 'wire' | 'name'

/** What all places of one record share while it is read. */
export class Reading {
  readonly spelling: Spelling
  readonly semantics: Semantics
  readonly limits: Required<RecordLimits>
  /** The fault this reading ended with. Told apart by identity: what a hostile getter throws cannot pose as it. */
  failure: RecordInvalid | undefined
  #characters = 0
  #rules = 0

  constructor(spelling: Spelling, semantics: Semantics, limits: Required<RecordLimits>) {
    this.spelling = spelling
    this.semantics = semantics
    this.limits = limits
  }

  /**
   * Counts what is taken over. Objects of a program may be shared many times over, endless or made up by a proxy, so
   * their size is only known by counting.
   */
  take(characters: number, at: Place): void {
    // Written so that no length a proxy may tell, not a number or below zero, gets through.
    const isCount = characters >= 0
    this.#characters += characters
    if (!isCount || !(this.#characters <= this.limits.maxBytes)) at.fail(tooLarge(this.limits.maxBytes))
  }

  takeRules(count: number, at: Place): void {
    this.#rules += count
    const { maxRules } = this.limits
    if (this.#rules > maxRules) at.fail(`holds more than ${maxRules} rules, both lists together`)
  }
}

/** One wording for text and objects. */
export function tooLarge(maxBytes: number): string {
  return `is larger than ${maxBytes} bytes`
}

/** A place inside a record. Its path is only spelt out when something is wrong there. */
export class Place {
  readonly reading: Reading
  readonly #parent: Place | undefined
  readonly #step: string | number

  constructor(reading: Reading, parent?: Place, step: string | number = '') {
    this.reading = reading
    this.#parent = parent
    this.#step = step
  }

  get path(): string {
    const steps: (string | number)[] = []
    for (let place: Place = this; place.#parent !== undefined; place = place.#parent) steps.unshift(place.#step)
    return pathOf(steps)
  }

  /** A member of the object, or an item of the array, that is here. */
  at(step: string | number): Place {
    return new Place(this.reading, this, step)
  }

  fail(problem: string): never {
    this.reading.failure = new RecordInvalid(this.path, problem)
    throw this.reading.failure
  }
}

/** Joins steps to `publish_acl[0].max_qos`; names that are no plain words are quoted: `extra["a b"]`. */
export function pathOf(steps: readonly (string | number)[]): string {
  let path = ''
  for (const step of steps) {
    if (typeof step === 'number') path += `[${step}]`
    else if (/^[a-z_$][\w$]{0,63}$/i.test(step)) path += path === '' ? step : `.${step}`
    else path += `[${quote(step)}]`
  }
  return path
}
