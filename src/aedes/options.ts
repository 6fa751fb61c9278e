import type { Aedes, Client } from 'aedes'
import { warnOnce } from '../faults.js'
import { checkNames, integerOption } from '../options.js'
import type { SharedState } from '../store/shared.js'
import type { BrokerClient } from './broker.js'

/** Options of `protect`. */
export interface ProtectOptions {
  /**
   * Mountpoint of the record keys: one for the broker, or a function of the client, e.g. of the listener it came
   * through. A function that throws, or returns no string, refuses the login.
   *
   * @default ''
   */
  readonly mountpoint?: string | ((client: Client) => string)
  /**
   * What becomes of a client whose PUBLISH is refused. MQTT 3.1.1 has no code for it, so it is one of two:
   *
   * - `close`, as VerneMQ: the connection is closed, and the will is judged. Clients that resend unacknowledged
   *   messages (MQTT.js does) come back with the same one and are closed again.
   * - `drop`: the message is acknowledged as if it were accepted, and goes nowhere. aedes' `publish` event shows it as
   *   an empty message on `$warden/refused`. What is refused for the moment only, as when the store cannot be read,
   *   closes the connection all the same, or it would be lost.
   *
   * @default 'close'
   */
  readonly onDeniedPublish?: 'close' | 'drop'
  /**
   * Longest time, in milliseconds, that a login, a hook of yours or a clean-up of the broker's persistence may take. A
   * login is then refused with `deadline`, whatever the hook was asked for is refused, and the clean-up becomes a
   * fault. Should exceed the authorizer's `connectTimeoutMs`. 100 to 600,000.
   *
   * @default 30_000
   */
  readonly deadlineMs?: number
  /**
   * Most stored sessions that this node follows while their clients are away, and most client ids whose owners it
   * remembers for the time that `owners` cannot be reached. 1 to 10,000,000.
   *
   * @default 100_000
   */
  readonly maxOwners?: number
  /**
   * Where it is kept which account owns which client id, for all nodes and across their restarts: one small value per
   * client that is connected or has a persistent session. A login that needs it while it cannot be reached is refused
   * with `store_unavailable`, save that of the account that this node knows to own the client id.
   *
   * Where the first write is refused because the store's user has no right to it (`StoreUnavailable.isForbidden`), the
   * owners are kept in memory until `protect` is called anew: nodes then do not know of each other's clients, a restart
   * forgets whose the stored sessions are, and one fault of the place `owners` says so, with what is missing.
   *
   * @default the shared state of the authorizer's store; where it has none, memory
   */
  readonly owners?: SharedState
  /**
   * Names the cluster of brokers that a client id is one in. Brokers over one store that are not joined by an mqemitter
   * are clusters of their own: give them different names. Up to 64 letters, digits, `.`, `_` and `-`.
   *
   * @default ''
   */
  readonly cluster?: string
  /**
   * How long after a node was last heard of its clients count as connected; it is said again three times as often.
   * Until then another account is refused the client ids that a crashed node held. 1,000 to 600,000.
   *
   * @default 15_000
   */
  readonly nodeLeaseMs?: number
  /**
   * Hears what failed without anybody waiting for it: persistence errors, hooks of yours that throw or stay silent, a
   * hook assigned behind our back. What it concerned was refused. `place` is e.g. `persistence` or `authorizeForward`.
   *
   * @default one warning of the process for each place
   */
  readonly onFault?: (error: unknown, place: string) => void
}

/** Every default and range of a number; the README prints this table. */
export const PROTECT_DEFAULTS = {
  deadlineMs: { fallback: 30_000, min: 100, max: 600_000 },
  maxOwners: { fallback: 100_000, min: 1, max: 10_000_000 },
  nodeLeaseMs: { fallback: 15_000, min: 1_000, max: 600_000 },
} as const

/** Options with every default filled in. */
export interface Settings {
  readonly mountpoint: string | ((client: BrokerClient) => unknown)
  readonly onDeniedPublish: 'close' | 'drop'
  readonly deadlineMs: number
  readonly owners: SharedState | undefined
  readonly cluster: string
  readonly maxOwners: number
  readonly nodeLeaseMs: number
  readonly onFault: (error: unknown, place: string) => void
}

const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(PROTECT_DEFAULTS),
  ...['mountpoint', 'onDeniedPublish', 'owners', 'cluster', 'onFault'],
])

/**
 * Checks options and fills in defaults.
 *
 * @throws TypeError that names the option.
 */
export function resolveOptions(options: ProtectOptions): Settings {
  checkNames(options, NAMES, 'protect')
  const {
    mountpoint = '',
    onDeniedPublish = 'close',
    owners,
    cluster = '',
    onFault = warnOnce('aedes', 'onFault'),
  } = options
  if (typeof mountpoint !== 'string' && typeof mountpoint !== 'function') {
    throw new TypeError('"mountpoint" option must be a string or a function')
  }
  if (onDeniedPublish !== 'close' && onDeniedPublish !== 'drop') {
    throw new TypeError('"onDeniedPublish" option must be "close" or "drop"')
  }
  if (owners !== undefined && !(['get', 'swap'] as const).every(name => typeof owners?.[name] === 'function')) {
    throw new TypeError('"owners" option must have functions get() and swap()')
  }
  if (typeof cluster !== 'string' || !/^[\w.-]{0,64}$/.test(cluster)) {
    throw new TypeError('"cluster" option must be up to 64 letters, digits, ".", "_" and "-"')
  }
  if (typeof onFault !== 'function') throw new TypeError('"onFault" option must be a function')
  return {
    mountpoint: mountpoint as Settings['mountpoint'],
    onDeniedPublish,
    deadlineMs: integerOption(options, 'deadlineMs', PROTECT_DEFAULTS.deadlineMs),
    owners,
    cluster,
    maxOwners: integerOption(options, 'maxOwners', PROTECT_DEFAULTS.maxOwners),
    nodeLeaseMs: integerOption(options, 'nodeLeaseMs', PROTECT_DEFAULTS.nodeLeaseMs),
    onFault,
  }
}

/** @throws TypeError when it is no broker of aedes 1.x. */
export function checkBroker(broker: Aedes): void {
  const { handle, clients, authorizeForward } = broker as Aedes & { clients?: unknown }
  if (typeof handle !== 'function' || typeof clients !== 'object' || typeof authorizeForward !== 'function') {
    throw new TypeError('"broker" must be a broker of aedes 1.x')
  }
}
