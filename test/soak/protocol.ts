import type { Freshness } from '../../src/index.js'
import type { Client, Place } from '../faults/protocol.js'

/** Accounts with a record of their own, and clients of one role. */
const EXACT = 30
const MEMBERS = 5

export const CLIENTS: readonly Client[] = [
  ...Array.from({ length: EXACT }, (_, n) => clientOf(`d${n}`, 'device', `d${n}`)),
  ...Array.from({ length: MEMBERS }, (_, n) => clientOf(`m${n}`, 'role', '*')),
]

/** Names of all records. */
export const KEYS: readonly Client['key'][] = [...CLIENTS.slice(0, EXACT).map(({ key }) => key), CLIENTS.at(-1)!.key]

function clientOf(clientId: string, username: string, keyId: string): Client {
  return { clientId, username, key: { mountpoint: '', clientId: keyId, username } }
}

/** Every record allows one topic, which no other record ever does. */
export const topicOf = (version: number): string => `v${version}`
export const versionOf = (topic: string): number => Number(topic.slice(1))

/** A version that was granted, and when it was for the last time. */
export type Grant = readonly [version: number, at: number]

/** What a node has seen since it was last asked. */
export interface Notes {
  /** Those of sessions, whose password was proven. */
  readonly grants: readonly Grant[]
  /** Those of look-ups, which know no password. */
  readonly lookUps: readonly Grant[]
  readonly freshness: Freshness
  /** Versions that every client may use now; fewer than there are clients where some may do nothing. */
  readonly held: readonly number[]
  readonly logins: number
  readonly crashes: readonly string[]
}

/** What a node takes of its process after the garbage was collected. */
export interface Burden {
  readonly heapBytes: number
  readonly handles: number
}

export interface SoakCalls {
  open(place: Place): Promise<void>
  notes(): Promise<Notes>
  burden(): Promise<Burden>
  close(): Promise<void>
}
