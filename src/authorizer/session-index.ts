import type { Principal } from '../acl/types.js'
import type { RecordKey } from '../record/types.js'
import type { LiveSession } from './session.js'

/** A map with keys of two texts. Joining them would cost each session a string of its own. */
class PairMap<V> {
  readonly #maps: Map<string, Map<string, V>> = new Map()

  get(first: string, second: string): V | undefined {
    return this.#maps.get(first)?.get(second)
  }

  set(first: string, second: string, value: V): void {
    const map = this.#maps.get(first)
    if (map === undefined) this.#maps.set(first, new Map([[second, value]]))
    else map.set(second, value)
  }

  delete(first: string, second: string): void {
    const map = this.#maps.get(first)
    if (map?.delete(second) && map.size === 0) this.#maps.delete(first)
  }

  /** The values by their second key, for every first one. */
  maps(): Iterable<ReadonlyMap<string, V>> {
    return this.#maps.values()
  }
}

/** The live sessions, by client id and by username. */
export class SessionIndex {
  readonly #wildcard: boolean
  /** The session that holds each client id, or one that will; the others that are still open hang on it. */
  readonly #byClientId: PairMap<LiveSession> = new PairMap()
  /** Sessions that a `*` record may concern. Most usernames have one, which is held without a set around it. */
  readonly #byUsername: PairMap<LiveSession | Set<LiveSession>> = new PairMap()
  size = 0

  /** @param wildcard Whether there are `*` records at all. */
  constructor(wildcard: boolean) {
    this.#wildcard = wildcard
  }

  /** The session that holds a client id. */
  holder({ mountpoint, clientId }: Principal): LiveSession | undefined {
    let session = this.#byClientId.get(mountpoint, clientId)
    while (session?.isProvisional) session = session.older
    return session
  }

  /** The sessions that depend on a record: an exact one also while it is absent. Anonymous ones depend on none. */
  of({ mountpoint, clientId, username }: RecordKey): LiveSession[] {
    if (clientId === '*') {
      const present = this.#byUsername.get(mountpoint, username)
      if (present === undefined) return []
      return present instanceof Set ? [...present] : [present]
    }
    const found: LiveSession[] = []
    let session = this.#byClientId.get(mountpoint, clientId)
    for (; session !== undefined; session = session.older) {
      if (session.principal.username === username && session.recordKey !== undefined) found.push(session)
    }
    return found
  }

  *values(): IterableIterator<LiveSession> {
    for (const map of this.#byClientId.maps()) {
      for (const latest of map.values()) {
        for (let session: LiveSession | undefined = latest; session !== undefined; session = session.older)
          yield session
      }
    }
  }

  /** The sessions that records decide, those on the same `*` record one after the other. */
  *byRecord(): IterableIterator<LiveSession> {
    if (!this.#wildcard) {
      yield* this.values()
      return
    }
    for (const map of this.#byUsername.maps()) {
      for (const sessions of map.values()) {
        if (sessions instanceof Set) yield* sessions
        else yield sessions
      }
    }
  }

  /** Takes a session in, which holds no client id before {@link hold}. */
  add(session: LiveSession): void {
    const { mountpoint, clientId, username } = session.principal
    this.size++
    const latest = this.#byClientId.get(mountpoint, clientId)
    if (latest === undefined) this.#byClientId.set(mountpoint, clientId, session)
    else {
      session.older = latest.older
      latest.older = session
    }
    if (!this.#wildcard || session.recordKey === undefined) return
    const present = this.#byUsername.get(mountpoint, username)
    if (present === undefined) this.#byUsername.set(mountpoint, username, session)
    else if (present instanceof Set) present.add(session)
    else this.#byUsername.set(mountpoint, username, new Set([present, session]))
  }

  /** Makes a session the holder of its client id. */
  hold(session: LiveSession): void {
    const { mountpoint, clientId } = session.principal
    session.isProvisional = false
    const latest = this.#byClientId.get(mountpoint, clientId)
    if (latest === session) return
    this.#unchain(session, mountpoint, clientId)
    session.older = latest
    this.#byClientId.set(mountpoint, clientId, session)
  }

  remove(session: LiveSession): void {
    const { mountpoint, clientId, username } = session.principal
    this.size--
    this.#unchain(session, mountpoint, clientId)
    const present = this.#byUsername.get(mountpoint, username)
    if (present === session) this.#byUsername.delete(mountpoint, username)
    else if (present instanceof Set && present.delete(session) && present.size === 0) {
      this.#byUsername.delete(mountpoint, username)
    }
  }

  #unchain(session: LiveSession, mountpoint: string, clientId: string): void {
    const latest = this.#byClientId.get(mountpoint, clientId)
    if (latest !== session) {
      let newer = latest
      while (newer !== undefined && newer.older !== session) newer = newer.older
      if (newer !== undefined) newer.older = session.older
    } else if (session.older !== undefined) this.#byClientId.set(mountpoint, clientId, session.older)
    else this.#byClientId.delete(mountpoint, clientId)
  }
}
