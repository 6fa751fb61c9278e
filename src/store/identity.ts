import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { VERSION } from '../version.js'
import type { NodeInfo } from './types.js'

/** What never changes about a node while it lives. */
export type NodeIdentity = Pick<NodeInfo, 'id' | 'name' | 'pid' | 'version' | 'startedAt'>

/** Longest name of a node, in characters. */
const MAX_NAME = 64

/** What the name of a node may hold. */
const NAME = /^[\w.-]{1,64}$/

/**
 * Makes up an identity that no other store has, in this process or another.
 *
 * @param name What to be called; left out, the name of the host.
 * @throws TypeError for a name that is too long, or holds anything but letters, digits, `_`, `.` and `-`.
 */
export function createIdentity(name: string = hostName()): NodeIdentity {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new TypeError('"nodeName" option must be 1 to 64 characters of letters, digits, "_", "." and "-"')
  }
  const { pid } = process
  return { id: `${name}.${pid}.${randomBytes(6).toString('hex')}`, name, pid, version: VERSION, startedAt: Date.now() }
}

function hostName(): string {
  return (
    hostname()
      .replace(/[^\w.-]/g, '-')
      .slice(0, MAX_NAME) || 'node'
  )
}
