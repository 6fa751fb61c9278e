/** One part of a command or of an array reply, as it goes over the wire. */
export type Bytes = string | Buffer

/** A command: its lower-case name (ioredis compares some names as written), then its arguments. */
export type Command = readonly [name: string, ...args: Bytes[]]

/**
 * What is used of an ioredis client of one server, 5 or 6. The store talks through instances of its own only, one per
 * socket; what a caller hands in is asked for `options` and `duplicate`.
 */
export interface NodeClient {
  readonly status: string
  readonly options: object
  /** The socket, once there is one. ioredis has no public way to end a socket whose peer does not answer. */
  readonly stream?: {
    readonly writable: boolean
    readonly connecting?: boolean
    destroy(): unknown
    resetAndDestroy?(): unknown
    cork?(): void
    uncork?(): void
  }
  duplicate(override: object): NodeClient
  connect(): Promise<unknown>
  disconnect(): void
  /** Sends a command; strings in the reply come as buffers. */
  callBuffer(name: string, ...args: Bytes[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'close' | 'end', listener: () => void): unknown
  on(event: 'messageBuffer' | 'smessageBuffer', listener: (channel: unknown, payload: unknown) => void): unknown
}

/** What is used of a caller's ioredis Cluster, 5 or 6: where to begin, and how its nodes are reached. */
export interface ClusterClient {
  readonly isCluster: boolean
  readonly options: {
    readonly keyPrefix?: unknown
    readonly redisOptions?: object
    readonly natMap?: unknown
  }
  /** What the Cluster was constructed with. ioredis declares it private, in both versions. */
  readonly startupNodes: readonly unknown[]
}

/** Lets each kind of template be recognised without the class it came from, which may be another copy of ioredis. */
export function isNodeClient(target: unknown): target is NodeClient {
  return (
    typeof target === 'object' && target !== null && 'duplicate' in target && typeof target.duplicate === 'function'
  )
}

export function isClusterClient(target: unknown): target is ClusterClient {
  return isNodeClient(target) && 'isCluster' in target && target.isCluster === true
}
