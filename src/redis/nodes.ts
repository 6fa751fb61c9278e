import type { StoreLink } from '../store/types.js'
import type { Command } from './client.js'
import type { Connection } from './connection.js'
import type { CommandFailure } from './failure.js'
import type { Lane } from './lane.js'
import type { LinkEvents } from './link.js'
import type { Sentinels } from './sentinels.js'

/** A watch over all servers that hold records. */
export interface Watching {
  /** The links it consists of now. */
  links(): readonly StoreLink[]
  /** Ends it without a further report; resolves when its sockets are closed. */
  stop(): Promise<void>
}

/** One server that holds records. */
export interface RecordServer {
  readonly kind: 'single' | 'sentinel' | 'cluster'
  /** Its address, for people. */
  place(): string
  readonly lane: Lane
  /** Who names it as the master, if anybody does. */
  readonly sentinels?: Sentinels
  /** Opens a connection besides. */
  open(name: string, signal: AbortSignal): Promise<Connection>
  /** End of keys that it owns: a hash tag in a Cluster, `''` elsewhere. */
  keyEnd(): string
}

/** The servers that hold records: one, or the masters of a Cluster. */
export interface Nodes {
  /**
   * A write of nothing, sent before each read: a server that has ceased to be the master, or lost its replicas and was
   * told to take no writes then, refuses it, and would go on answering reads with what has long changed elsewhere. Left
   * out in a Cluster, whose nodes refuse reads themselves.
   */
  readonly witness?: Command
  /** Way to the server that has a key. */
  laneOf(redisKey: Buffer): Promise<Lane>
  /** Which Redis it is, for people. */
  readonly place: string
  /** All servers that have records. */
  servers(): Promise<readonly RecordServer[]>
  /**
   * Takes a refusal for advice. Resolves with where to try next: wherever the key is now (`'owner'`), or for this once
   * at the server that it is being moved to; `undefined` where that is of no use.
   */
  redirected(refusal: CommandFailure): Promise<'owner' | Lane | undefined>
  /** Begins to hear changes. `live` is reported only while those of every server are heard. */
  watch(events: LinkEvents): Watching
  /** Ends everything, a watch included; resolves when all sockets are closed. */
  close(): Promise<void>
}
