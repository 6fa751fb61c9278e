import type { StoreLink } from '../store/types.js'
import type { CommandFailure } from './failure.js'
import type { Lane } from './lane.js'
import type { LinkEvents } from './link.js'

/** A watch over all servers that hold records. */
export interface Watching {
  /** The links it consists of now. */
  links(): readonly StoreLink[]
  /** Ends it without a further report; resolves when its sockets are closed. */
  stop(): Promise<void>
}

/** The servers that hold records: one, or the masters of a Cluster. */
export interface Nodes {
  /** Way to the server that has a key. */
  laneOf(redisKey: Buffer): Promise<Lane>
  /** Ways to all servers that have records. */
  lanes(): Promise<readonly Lane[]>
  /** Takes a refusal for advice. Resolves with whether another try may go elsewhere. */
  redirected(refusal: CommandFailure): Promise<boolean>
  /** Begins to hear changes. `live` is reported only while those of every server are heard. */
  watch(events: LinkEvents): Watching
  /** Ends everything, a watch included; resolves when all sockets are closed. */
  close(): Promise<void>
}
