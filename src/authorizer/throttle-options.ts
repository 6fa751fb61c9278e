import { checkNames, integerOption } from '../options.js'
import type { LimiterLimits } from '../store/limiter.js'

/** How many failed logins are let through before more are refused. */
export interface ThrottleLimits {
  /** Failed logins within the window after which more are refused unheard. */
  readonly points?: number
  /** Milliseconds from the first failed login until the count begins anew; counted in whole seconds. */
  readonly windowMs?: number
  /** Milliseconds for which more are refused then; counted in whole seconds. */
  readonly blockMs?: number
}

/**
 * Limits for guessing passwords. An account is here a mountpoint with a user name, whatever the client id. A password
 * that is repeated counts once: a device that was given a wrong one and tries for ever guesses nothing. Of logins whose
 * address the adapter does not give, only `perAccount` counts.
 */
export interface ThrottleOptions {
  /** Failed logins of one account from one address. `false` does not count them. */
  readonly perPair?: ThrottleLimits | false
  /**
   * Failed logins of one account from all addresses together. It does not refuse addresses from which a client has
   * logged in with the right password before. `false` does not count them.
   */
  readonly perAccount?: ThrottleLimits | false
  /**
   * Failed logins from one address, over all accounts, with the same exception. Off unless given, `{}` for its
   * defaults: behind a proxy that does not pass addresses on, all clients share one.
   */
  readonly perAddress?: ThrottleLimits | false
  /**
   * Logins that are still compared with the passwords proven before, once others are refused, so that guessing locks
   * out nobody whose password was proven. After so many wrong ones they are refused too, or that would be a way to
   * guess on.
   */
  readonly proven?: number
  /** Milliseconds for which an address counts as a client's own after it logged in from there. */
  readonly knownMs?: number
}

const POINTS = { min: 1, max: 1_000_000 }
const SPAN = { min: 1_000, max: 604_800_000 }

/** Default and range of a number. */
interface Range {
  readonly fallback: number
  readonly min: number
  readonly max: number
}

type LimitRanges = Readonly<Record<keyof LimiterLimits, Range>>

/** Every default and range of {@link ThrottleOptions}; the README prints this table. */
export const THROTTLE_DEFAULTS: Readonly<Record<LimitName, LimitRanges> & Record<'proven' | 'knownMs', Range>> = {
  perPair: limitRanges(20, 300_000, 300_000),
  perAccount: limitRanges(1_000, 3_600_000, 900_000),
  perAddress: limitRanges(1_000, 300_000, 300_000),
  proven: { fallback: 100, min: 0, max: 1_000_000 },
  knownMs: { fallback: 604_800_000, min: 0, max: 604_800_000 },
}

const NAMES: ReadonlySet<string> = new Set(Object.keys(THROTTLE_DEFAULTS))
const PARTS: ReadonlySet<string> = new Set(Object.keys(THROTTLE_DEFAULTS.perPair))

type LimitName = 'perPair' | 'perAccount' | 'perAddress'

/** {@link ThrottleOptions} with every default filled in; a limit that is off is `undefined`. */
export interface Throttle extends Readonly<Record<LimitName, LimiterLimits | undefined>> {
  readonly proven: number
  readonly knownMs: number
}

/**
 * Checks the option `throttle` and fills in defaults; `undefined` when it is off.
 *
 * @throws TypeError that names the option.
 */
export function throttleOption(options: ThrottleOptions | false = {}): Throttle | undefined {
  if (options === false) return undefined
  if (typeof options !== 'object' || options === null)
    throw new TypeError('"throttle" option must be false or an object')
  checkNames(options, NAMES, 'createAuthorizer', 'throttle.')
  return {
    perPair: limits('perPair', options.perPair ?? {}),
    perAccount: limits('perAccount', options.perAccount ?? {}),
    perAddress: limits('perAddress', options.perAddress ?? false),
    proven: integer('throttle.proven', options.proven, THROTTLE_DEFAULTS.proven),
    knownMs: integer('throttle.knownMs', options.knownMs, THROTTLE_DEFAULTS.knownMs),
  }
}

function limits(name: LimitName, given: ThrottleLimits | false): LimiterLimits | undefined {
  if (given === false) return undefined
  const defaults = THROTTLE_DEFAULTS[name]
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(`"throttle.${name}" option must be false or an object`)
  }
  checkNames(given, PARTS, 'createAuthorizer', `throttle.${name}.`)
  return {
    points: integer(`throttle.${name}.points`, given.points, defaults.points),
    windowMs: integer(`throttle.${name}.windowMs`, given.windowMs, defaults.windowMs),
    blockMs: integer(`throttle.${name}.blockMs`, given.blockMs, defaults.blockMs),
  }
}

function integer(name: string, value: number | undefined, range: Range): number {
  return integerOption({ [name]: value }, name, range)
}

function limitRanges(points: number, windowMs: number, blockMs: number): LimitRanges {
  return {
    points: { fallback: points, ...POINTS },
    windowMs: { fallback: windowMs, ...SPAN },
    blockMs: { fallback: blockMs, ...SPAN },
  }
}
