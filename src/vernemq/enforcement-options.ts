import { tellFault, warnOnce } from '../faults.js'
import { booleanOption, checkNames, integerOption } from '../options.js'
import type { EnforcementPeers } from './peers.js'
import type { EnforcementFault } from './types.js'

/** Options of `enforceOnVernemq`. All times are in milliseconds and integers. */
export interface EnforcementOptions {
  /**
   * The `response_timeout` of VerneMQ's endpoints: an answer given by an older record can still arrive, and be cached,
   * that much later. What is done about a change is therefore done again after it. 100 to 60,000.
   *
   * @default 5_000
   */
  readonly responseTimeoutMs?: number
  /**
   * What happens to clients that may do less than before, but may stay: `reauthorize` has VerneMQ ask for every
   * subscription again and drop what is refused; `disconnect` closes the connection, too.
   *
   * @default 'reauthorize'
   */
  readonly onNarrowed?: 'reauthorize' | 'disconnect'
  /**
   * Whether disconnecting also deletes the client's subscriptions and queued messages. Without it a client that may
   * come back finds them; its subscriptions are then verified as it does (`verifyOnLogin`).
   *
   * @default false
   */
  readonly cleanup?: boolean
  /**
   * Whether all sessions found at the start, and after changes may have been missed, are verified: those whose record
   * is gone are disconnected, the subscriptions of the others reauthorized. A password that was changed meanwhile
   * cannot be noticed.
   *
   * @default true
   */
  readonly verifyAtStart?: boolean
  /**
   * Whether the stored subscriptions of a client that logs in with a persistent session are reauthorized, unless that
   * was done since its rights changed. VerneMQ restores them without asking.
   *
   * @default true
   */
  readonly verifyOnLogin?: boolean
  /** Shared by all webhook servers over one VerneMQ; left out where there is only one. See `createRedisPeers`. */
  readonly peers?: EnforcementPeers
  /**
   * Longest wait for the other servers to confirm that they dropped a record, before caches are cleared. 0 to 60,000.
   *
   * @default 1_000
   */
  readonly confirmTimeoutMs?: number
  /**
   * After how long another server takes over from one that died over a change. 200 to 600,000.
   *
   * @default 10_000
   */
  readonly takeoverMs?: number
  /**
   * How often every node is asked whether it is there, and whether the cluster has grown. 1,000 to 3,600,000.
   *
   * @default 30_000
   */
  readonly probeMs?: number
  /**
   * Most records and clients remembered, each. Of a record that was forgotten a change counts as a revocation. 1 to
   * 10,000,000.
   *
   * @default 100_000
   */
  readonly maxKnown?: number
  /**
   * Most changes carried out at the same time; beyond it all sessions are verified instead. 1 to 1,000,000.
   *
   * @default 1_000
   */
  readonly maxChanges?: number
  /**
   * Hears of what fails, is tried again, or is given up. What it throws becomes a warning of the process.
   *
   * @default one warning of the process for each kind of task
   */
  readonly onFault?: (fault: EnforcementFault) => void
}

/** Every default and range. */
export const ENFORCEMENT_DEFAULTS = {
  responseTimeoutMs: { fallback: 5_000, min: 100, max: 60_000 },
  confirmTimeoutMs: { fallback: 1_000, min: 0, max: 60_000 },
  takeoverMs: { fallback: 10_000, min: 200, max: 600_000 },
  probeMs: { fallback: 30_000, min: 1_000, max: 3_600_000 },
  maxKnown: { fallback: 100_000, min: 1, max: 10_000_000 },
  maxChanges: { fallback: 1_000, min: 1, max: 1_000_000 },
} as const

/** Options with every default filled in. */
export interface EnforcementSettings extends Readonly<Record<keyof typeof ENFORCEMENT_DEFAULTS, number>> {
  readonly onNarrowed: 'reauthorize' | 'disconnect'
  readonly cleanup: boolean
  readonly verifyAtStart: boolean
  readonly verifyOnLogin: boolean
  readonly peers: EnforcementPeers | undefined
  readonly onFault: (fault: EnforcementFault) => void
}

const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(ENFORCEMENT_DEFAULTS),
  ...['onNarrowed', 'cleanup', 'verifyAtStart', 'verifyOnLogin', 'peers', 'onFault'],
])

/**
 * Checks options and fills in defaults.
 *
 * @throws TypeError that names the option.
 */
export function resolveEnforcementOptions(options: EnforcementOptions): EnforcementSettings {
  checkNames(options, NAMES, 'enforceOnVernemq')
  const { onNarrowed = 'reauthorize', peers, onFault = warn() } = options
  if (onNarrowed !== 'reauthorize' && onNarrowed !== 'disconnect') {
    throw new TypeError('"onNarrowed" option must be "reauthorize" or "disconnect"')
  }
  if (peers !== undefined && typeof peers?.setIfAbsent !== 'function') {
    throw new TypeError('"peers" option must be EnforcementPeers, e.g. of createRedisPeers')
  }
  if (typeof onFault !== 'function') throw new TypeError('"onFault" option must be a function')
  const numbers = Object.fromEntries(
    Object.entries(ENFORCEMENT_DEFAULTS).map(([name, range]) => [name, integerOption(options, name, range)]),
  ) as Record<keyof typeof ENFORCEMENT_DEFAULTS, number>
  return {
    ...numbers,
    onNarrowed,
    cleanup: booleanOption(options, 'cleanup', false),
    verifyAtStart: booleanOption(options, 'verifyAtStart', true),
    verifyOnLogin: booleanOption(options, 'verifyOnLogin', true),
    peers,
    onFault: fault => tellFault('vernemq', 'onFault', () => onFault(fault)),
  }
}

function warn(): (fault: EnforcementFault) => void {
  const once = warnOnce('vernemq', 'onFault')
  return ({ what, error }) => once(error, what)
}
