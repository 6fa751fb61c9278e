import type { Aedes, Client } from 'aedes'
import { integerOption } from '../options.js'
import type { BrokerClient } from './broker.js'
import { createSessionOwners, type SessionOwners } from './owners.js'

/** Options of `protect`. */
export interface ProtectOptions {
  /**
   * Mountpoint of the record keys: one for the broker, or a function of the client, e.g. of the listener it came through.
   * A function that throws, or returns no string, refuses the login.
   *
   * @default ''
   */
  readonly mountpoint?: string | ((client: Client) => string)
  /**
   * What becomes of a client whose PUBLISH is refused. MQTT 3.1.1 has no code for it, so it is one of two:
   *
   * - `close`, as VerneMQ: the connection is closed, and the will is judged. Clients that resend unacknowledged messages
   *   (MQTT.js does) come back with the same one and are closed again.
   * - `drop`: the message is acknowledged as if it were accepted, and goes nowhere. aedes' `publish` event shows it as
   *   an empty message on `$warden/refused`. What is refused for the moment only, as when the store cannot be read,
   *   closes the connection all the same, or it would be lost.
   *
   * @default 'close'
   */
  readonly onDeniedPublish?: 'close' | 'drop'
  /**
   * Longest time, in milliseconds, that a login, a hook of yours or a clean-up of the broker's persistence may take. A
   * login is then refused with `deadline`, whatever the hook was asked for is refused, and the clean-up becomes a fault.
   * Should exceed the authorizer's `connectTimeoutMs`. 100 to 600,000.
   *
   * @default 30_000
   */
  readonly deadlineMs?: number
  /**
   * Most persistent sessions whose owners are remembered in memory (when `owners` is left out), and that are followed while
   * their clients are away. Beyond it the owner that logged in longest ago is forgotten: whoever comes next with that client
   * id takes its stored session over, and receives of its queue what its own rules allow. 1 to 10,000,000.
   *
   * @default 100_000
   */
  readonly maxOwners?: number
  /** Where owners of persistent sessions are remembered. @default a map in memory */
  readonly owners?: SessionOwners
  /**
   * Hears what failed without anybody waiting for it: persistence errors, hooks of yours that throw or stay silent, a hook
   * assigned behind our back. What it concerned was refused. `place` is e.g. `persistence` or `authorizeForward`.
   *
   * @default one warning of the process
   */
  readonly onFault?: (error: unknown, place: string) => void
}

/** Every default and range of a number; the README prints this table. */
export const PROTECT_DEFAULTS = {
  deadlineMs: { fallback: 30_000, min: 100, max: 600_000 },
  maxOwners: { fallback: 100_000, min: 1, max: 10_000_000 },
} as const

/** Options with every default filled in. */
export interface Settings {
  readonly mountpoint: string | ((client: BrokerClient) => unknown)
  readonly onDeniedPublish: 'close' | 'drop'
  readonly deadlineMs: number
  readonly owners: SessionOwners
  readonly maxOwners: number
  readonly onFault: (error: unknown, place: string) => void
}

const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(PROTECT_DEFAULTS),
  ...['mountpoint', 'onDeniedPublish', 'owners', 'onFault'],
])

/**
 * Checks options and fills in defaults.
 *
 * @throws TypeError that names the option.
 */
export function resolveOptions(options: ProtectOptions): Settings {
  if (typeof options !== 'object' || options === null) throw new TypeError('"options" must be an object')
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name)) throw new TypeError(`"${name}" is not an option of protect`)
  }
  const { mountpoint = '', onDeniedPublish = 'close', owners, onFault = warnOnce() } = options
  if (typeof mountpoint !== 'string' && typeof mountpoint !== 'function') {
    throw new TypeError('"mountpoint" option must be a string or a function')
  }
  if (onDeniedPublish !== 'close' && onDeniedPublish !== 'drop') {
    throw new TypeError('"onDeniedPublish" option must be "close" or "drop"')
  }
  if (owners !== undefined && !(['get', 'set', 'delete'] as const).every(name => typeof owners[name] === 'function')) {
    throw new TypeError('"owners" option must have functions get(), set() and delete()')
  }
  if (typeof onFault !== 'function') throw new TypeError('"onFault" option must be a function')
  const maxOwners = integerOption(options, 'maxOwners', PROTECT_DEFAULTS.maxOwners)
  return {
    mountpoint: mountpoint as Settings['mountpoint'],
    onDeniedPublish,
    deadlineMs: integerOption(options, 'deadlineMs', PROTECT_DEFAULTS.deadlineMs),
    owners: owners ?? createSessionOwners(maxOwners),
    maxOwners,
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

function warnOnce(): (error: unknown, place: string) => void {
  let isWarned = false
  return (error, place) => {
    if (isWarned) return
    isWarned = true
    const text = error instanceof Error ? error.message : String(error)
    process.emitWarning(`aedes: ${place}: ${text} (no "onFault" option; reported once)`, { code: 'MQTT_WARDEN_FAULT' })
  }
}
