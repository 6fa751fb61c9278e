import type { Persistence, StoredClient, Subscription } from './broker.js'
import type { Members } from './members.js'
import { KeyedQueue } from './queue.js'

type Writes = Pick<Persistence, 'addSubscriptions' | 'removeSubscriptions'>

/**
 * Stands before the persistence of a broker, and lets only granted subscriptions of members be stored.
 *
 * aedes stores a whole SUBSCRIBE as soon as one of its filters is granted, refused ones included, and once for each
 * granted filter; with aedes-persistence-redis the latter leaves the client without a SUBACK. Here each granted filter
 * is stored once. The writes of one client id follow one another, so that a clean-up is never overtaken by a store.
 */
export class SubscriptionGate {
  readonly #members: Members
  readonly #writes: KeyedQueue = new KeyedQueue()
  #installed: { readonly persistence: Persistence; readonly before: Writes; readonly ours: Writes } | undefined

  constructor(members: Members) {
    this.#members = members
  }

  /** Does nothing when it stands there already. */
  install(persistence: Persistence): void {
    if (this.#installed?.persistence === persistence) return
    this.uninstall()
    const { addSubscriptions, removeSubscriptions } = persistence
    const ours: Writes = {
      addSubscriptions: (client, subscriptions, ...rest) =>
        rest.length > 0 || !this.#isMember(client)
          ? addSubscriptions.call(persistence, client, subscriptions, ...rest)
          : this.#add(client, subscriptions, addSubscriptions.bind(persistence)),
      removeSubscriptions: (client, filters, ...rest) =>
        rest.length > 0 || !this.#isMember(client)
          ? removeSubscriptions.call(persistence, client, filters, ...rest)
          : this.#writes.run(client.id, () => removeSubscriptions.call(persistence, client, filters)),
    }
    Object.assign(persistence, ours)
    this.#installed = { persistence, before: { addSubscriptions, removeSubscriptions }, ours }
  }

  /** Leaves alone what somebody else put in our place. */
  uninstall(): void {
    if (this.#installed === undefined) return
    const { persistence, before, ours } = this.#installed
    this.#installed = undefined
    for (const name of ['addSubscriptions', 'removeSubscriptions'] as const) {
      if (persistence[name] !== ours[name]) continue
      // It was on the object itself, or on its prototype.
      Reflect.deleteProperty(persistence, name)
      if (persistence[name] !== before[name]) Object.assign(persistence, { [name]: before[name] })
    }
  }

  /** Resolves when all writes of a client id that were begun are done; `undefined` where there are none. */
  written(clientId: string): Promise<void> | undefined {
    return this.#writes.rest(clientId)
  }

  /** Runs `task` when all writes of a client id that were begun are done. It may use the persistence freely. */
  exclusively<T>(clientId: string, task: () => Promise<T>): Promise<T> {
    return this.#writes.run(clientId, task)
  }

  #add(
    client: StoredClient,
    subscriptions: readonly Subscription[],
    store: Persistence['addSubscriptions'],
  ): Promise<void> {
    const member = this.#members.of(client)!
    // Runs a turn later, when every filter of the SUBSCRIBE has been judged; what is granted later still comes again.
    return this.#writes.run(client.id, async () => {
      const fresh = subscriptions.filter(subscription => member.granted?.delete(subscription))
      if (member.granted?.size === 0) member.granted = undefined
      if (fresh.length > 0) await store(client, fresh)
    })
  }

  #isMember(client: StoredClient): boolean {
    return this.#members.of(client) !== undefined
  }
}
