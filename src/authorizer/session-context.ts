import type { CompiledAcl } from '../acl/compile.js'
import type { Account } from './accounts.js'
import type { DenialReporter } from './denials.js'
import type { LiveSession } from './session.js'
import type { Epoch, Trust } from './trust.js'

/** What all sessions of an authorizer share. */
export interface SessionContext {
  readonly trust: Trust
  readonly denials: DenialReporter
  /** Gives a session its client id, if it may have it. */
  confirm(session: LiveSession): boolean
  closed(session: LiveSession): void
  /** Something that nobody waits for failed. */
  failed(error: unknown, place: string): void
}

/** The rules of a session and what vouches for them. An anonymous session has rules that nothing can change. */
export interface Snapshot {
  readonly account: Account | undefined
  readonly compiled: CompiledAcl
  /** When it was read, and in which epoch. */
  readonly readAt: number
  readonly epoch: Epoch
}

/** Records of a session that changes named, and that were not read since. */
export interface Naming {
  /** From when on everything is refused. */
  readonly unreadFrom: number
  /** Whether its exact record is among them. */
  readonly isExact: boolean
}
