import { warnOnce } from '../faults.js'
import { booleanOption, integerOption } from '../options.js'
import type { EndpointFailure, EndpointOptions, EndpointResponse } from './types.js'

/** Defaults and ranges of the limits. */
export const ENDPOINT_DEFAULTS = {
  maxBodyBytes: { fallback: 1_048_576, min: 1_024, max: 536_870_912 },
  maxPendingBytes: { fallback: 67_108_864, min: 1_024, max: 4_294_967_296 },
  timeoutMs: { fallback: 10_000, min: 100, max: 300_000 },
  keepAliveMs: { fallback: 75_000, min: 1_000, max: 3_600_000 },
} as const

/** Options with every default filled in. */
export interface EndpointSettings extends Readonly<Record<keyof typeof ENDPOINT_DEFAULTS, number>> {
  readonly pathSecrets: readonly string[]
  readonly basic: { readonly username: string; readonly password: string } | undefined
  readonly clientCertificate: boolean
  readonly fail: (failure: EndpointFailure) => EndpointResponse
  readonly onError: (error: unknown, place: string) => void
}

/** Names of {@link EndpointOptions}, for adapters that take them among their own. */
export const ENDPOINT_OPTION_NAMES: readonly string[] = [
  ...Object.keys(ENDPOINT_DEFAULTS),
  ...['pathSecret', 'basic', 'clientCertificate', 'fail', 'onError'],
]

/**
 * Checks options and fills in defaults. Names it does not know are left to the caller.
 *
 * @throws TypeError that names the option.
 */
export function resolveEndpointOptions(options: EndpointOptions): EndpointSettings {
  for (const name of ['pathSecret', 'basic'] as const) {
    // A variable of the environment that is not set must not open the endpoint to everybody.
    if (Object.hasOwn(options, name) && options[name] === undefined) {
      throw new TypeError(`"${name}" option is undefined: leave it out if anybody may ask`)
    }
  }
  const maxBodyBytes = integerOption(options, 'maxBodyBytes', ENDPOINT_DEFAULTS.maxBodyBytes)
  const { max } = ENDPOINT_DEFAULTS.maxPendingBytes
  const fallback = Math.max(ENDPOINT_DEFAULTS.maxPendingBytes.fallback, maxBodyBytes)
  return {
    maxBodyBytes,
    maxPendingBytes: integerOption(options, 'maxPendingBytes', { fallback, min: maxBodyBytes, max }),
    timeoutMs: integerOption(options, 'timeoutMs', ENDPOINT_DEFAULTS.timeoutMs),
    keepAliveMs: integerOption(options, 'keepAliveMs', ENDPOINT_DEFAULTS.keepAliveMs),
    pathSecrets: pathSecrets(options.pathSecret),
    basic: basicOption(options.basic),
    clientCertificate: booleanOption(options, 'clientCertificate', false),
    fail: functionOption(options.fail, 'fail') ?? failWithStatus,
    onError: functionOption(options.onError, 'onError') ?? warnOnce('endpoint', 'onError'),
  }
}

function failWithStatus({ status, problem }: EndpointFailure): EndpointResponse {
  const headers = { 'content-type': 'application/json' }
  return { status, headers, body: JSON.stringify({ error: problem }) }
}

function pathSecrets(value: unknown): readonly string[] {
  if (value === undefined) return []
  const secrets: unknown[] = Array.isArray(value) ? value : [value]
  if (secrets.length === 0 || !secrets.every(isPathSecret)) {
    const what = Array.isArray(value) ? 'an array of texts of ' : ''
    throw new TypeError(`"pathSecret" option must be ${what}16 to 256 characters of A-Z a-z 0-9 . _ ~ -`)
  }
  return secrets as string[]
}

function isPathSecret(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9._~-]{16,256}$/.test(value)
}

function basicOption(value: EndpointOptions['basic']): EndpointSettings['basic'] {
  if (value === undefined) return undefined
  const { username, password } = value ?? {}
  if (typeof username !== 'string' || typeof password !== 'string' || username.includes(':') || password === '') {
    throw new TypeError('"basic" option must have a "username" without ":" and a "password"')
  }
  return { username, password }
}

function functionOption<F>(value: F | undefined, name: string): F | undefined {
  if (value !== undefined && typeof value !== 'function') throw new TypeError(`"${name}" option must be a function`)
  return value
}
