import type { DenyReason, Principal } from '../acl/types.js'
import { decodePassword } from '../password/bcrypt.js'
import { isPlain } from '../record/key.js'
import type { ConnectRequest } from './types.js'

/** A CONNECT whose parts can be used. */
export interface CheckedRequest {
  readonly ok: true
  readonly principal: Principal
  /** `undefined` for an anonymous client, which has no password either. */
  readonly password: string | undefined
}

/** A CONNECT that is refused before anything is looked up. */
export interface RefusedRequest {
  readonly ok: false
  readonly principal: Principal
  readonly reason: DenyReason
  readonly detail: string
}

/** Longest client id and username: MQTT writes their length in two bytes. */
const MAX_TEXT_BYTES = 65_535
/** Longest text that is looked through here: sooner done than to call what is quicker for long ones. */
const MAX_LOOKED_THROUGH = 64
/** Bytes of UTF-8 that one unit of a string takes at most. */
const MOST_BYTES_A_UNIT = 3

/** Tells what makes a client id, username or mountpoint unusable as part of a record key. */
export function identityProblem({ mountpoint, clientId, username }: Principal): string | undefined {
  if (clientId === '') return 'client id is empty'
  // The name of the record for every client id: who bore it would be judged by a record that is nobody's own.
  if (clientId === '*') return 'client id is *'
  return (
    textProblem('mountpoint', mountpoint) ?? textProblem('client id', clientId) ?? textProblem('username', username)
  )
}

function textProblem(name: string, value: unknown): string | undefined {
  if (typeof value !== 'string') return `${name} is no text`
  // Most are so short that their bytes need not be counted.
  if (value.length * MOST_BYTES_A_UNIT > MAX_TEXT_BYTES && Buffer.byteLength(value) > MAX_TEXT_BYTES) {
    return `${name} is too long`
  }
  if (value.length <= MAX_LOOKED_THROUGH && isPlain(value)) return undefined
  if (value.includes('\0')) return `${name} holds U+0000`
  return value.isWellFormed() ? undefined : `${name} holds an unpaired surrogate`
}

/**
 * Checks the parts of a CONNECT.
 *
 * @param isVernemq Whether passwords are cut at U+0000, as the C library does that VerneMQ uses.
 */
export function checkRequest(request: ConnectRequest, isVernemq: boolean): CheckedRequest | RefusedRequest {
  const { mountpoint = '', clientId, username = '', password, address } = request
  const principal: Principal = Object.freeze({ mountpoint, clientId, username })
  const problem = identityProblem(principal)
  if (problem !== undefined) return refuse(principal, 'client_id_refused', problem)
  if (address !== undefined && typeof address !== 'string' && typeof address !== 'function') {
    return refuse(principal, 'client_id_refused', 'address is no text')
  }
  if (request.username === undefined) {
    return password === undefined
      ? { ok: true, principal, password: undefined }
      : refuse(principal, 'bad_credentials', 'password without user name')
  }
  if (password === undefined) return refuse(principal, 'bad_credentials', 'no password')
  if (typeof password !== 'string' && !(password instanceof Uint8Array)) {
    return refuse(principal, 'bad_credentials', 'password is neither text nor bytes')
  }
  const text = decodePassword(isVernemq ? upToNull(password) : password)
  return text === undefined
    ? refuse(principal, 'bad_credentials', 'password is not UTF-8, or holds U+0000')
    : { ok: true, principal, password: text }
}

function refuse(principal: Principal, reason: DenyReason, detail: string): RefusedRequest {
  return { ok: false, principal, reason, detail }
}

/** What of a password the C library reads. */
function upToNull(password: string | Uint8Array): string | Uint8Array {
  const end = typeof password === 'string' ? password.indexOf('\0') : password.indexOf(0)
  if (end === -1) return password
  return typeof password === 'string' ? password.slice(0, end) : password.subarray(0, end)
}
