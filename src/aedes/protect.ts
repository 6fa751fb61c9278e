import type { Aedes } from 'aedes'
import type { Authorizer } from '../authorizer/types.js'
import type { Broker, BrokerClient } from './broker.js'
import { Context } from './context.js'
import { Enforcer } from './enforce.js'
import { forwardHook } from './forward.js'
import { installHooks } from './hooks.js'
import { authenticateHook, preConnectHook } from './login.js'
import { checkBroker, type ProtectOptions, resolveOptions } from './options.js'
import { publishHook } from './publish.js'
import { subscribeHook } from './subscribe.js'
import { tidyUp } from './tidy.js'

/** The hold of an authorizer on a broker. */
export interface Protection {
  /**
   * Ends the protection: cuts the clients that logged in through it, and has every hook refuse from now on. With
   * `restore` the hooks found by `protect` (or assigned since) are put back afterwards; the broker then decides as they
   * do, and can be protected anew. Closes neither the broker nor the authorizer. May be called again. Closing the
   * broker closes it.
   */
  close(options?: { readonly restore?: boolean }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const protectedBrokers: WeakSet<object> = new WeakSet()

/**
 * Puts an authorizer in charge of an aedes broker: logins, publishes, wills, subscriptions, deliveries, stored
 * sessions, and what becomes of live clients when a record changes.
 *
 * From here on every client must log in. Clients already connected are closed. A denied PUBLISH closes the connection
 * or is dropped (`onDeniedPublish`); a denied filter is answered with 0x80 and never stored; deliveries are checked one
 * by one. Names below `$SYS/` are the broker's alone. Shared subscriptions (`$share/…`), which aedes 1.x does not know,
 * and rule modifiers it cannot apply are refused with a reason of their own. Whoever changes a record with
 * `store.put()` or `store.delete()` in this process finds, once that resolved, the subscriptions no longer covered
 * gone.
 *
 * A client id belongs to the account that logged in with it, as long as the broker keeps a session for it: others are
 * refused (`client_id_taken`), save that a record of exactly this client id evicts a session that a `*` record opened,
 * with everything stored for it.
 *
 * Hooks of yours that are there already run after ours, and can only refuse (`authorizeForward` may also replace the
 * packet); what they change in what they are given does not count. Messages are judged in the order they came, as long
 * as your `authorizePublish` answers in the same turn. A hook assigned later is taken as one of these, and reported as
 * a fault. `published` and `preConnect` stay yours.
 *
 * Use one authorizer per process; brokers may share it, and then share the rule that a client id has one account at a
 * time. `protect` before the broker accepts connections.
 *
 * Exported from `mqtt-warden/aedes`.
 *
 * @example
 * ```ts
 * const broker = await Aedes.createBroker()
 * const authorizer = createAuthorizer({ store })
 * const protection = protect(broker, authorizer)
 * ```
 *
 * @param broker Broker of aedes 1.1.1 or a later 1.x.
 * @throws TypeError for a bad option, or a broker that is protected already.
 */
export function protect(broker: Aedes, authorizer: Authorizer, options: ProtectOptions = {}): Protection {
  const settings = resolveOptions(options)
  checkBroker(broker)
  if (typeof authorizer?.authenticate !== 'function' || typeof authorizer.access !== 'function')
    throw new TypeError('"authorizer" must be an authorizer')
  if (protectedBrokers.has(broker)) throw new TypeError('the broker is protected already')
  protectedBrokers.add(broker)
  return new BrokerProtection(new Context(broker as unknown as Broker, authorizer, settings))
}

class BrokerProtection implements Protection {
  readonly #context: Context
  readonly #restore: () => void
  readonly #stopTidying: () => void
  #closing: Promise<void> | undefined

  constructor(context: Context) {
    const { broker, guests } = context
    this.#context = context
    const enforcer = new Enforcer(context)
    this.#restore = installHooks(broker, {
      ours: {
        preConnect: preConnectHook(context),
        authenticate: authenticateHook(context, enforcer),
        authorizePublish: publishHook(context),
        authorizeSubscribe: subscribeHook(context),
        authorizeForward: forwardHook(context),
      },
      guests,
      assigned: name => {
        if (name === 'preConnect') return
        context.fault(new Error('assigned after protect(): it runs after the check, and can only refuse'), name)
      },
    })
    // Before listeners that subscribe the client to something.
    broker.prependListener('client', this.#onClient)
    broker.on('clientDisconnect', this.#onDisconnect)
    broker.on('closed', this.#onClosed)
    for (const client of Object.values(broker.clients)) client.close()
    this.#stopTidying = tidyUp(context)
  }

  close({ restore = false }: { readonly restore?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close()
    return restore ? this.#closing.then(() => this.#putBack()) : this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** A client whose login was decided by the hooks of before. */
  readonly #onClient = (client: BrokerClient): void => {
    const member = this.#context.members.of(client)
    if (member === undefined) client.close()
    else this.#context.upkeep.registered(member)
  }

  readonly #onDisconnect = (client: BrokerClient): void => {
    const member = this.#context.members.of(client)
    if (member !== undefined) this.#context.members.end(member)
  }

  readonly #onClosed = (): void => {
    void this.close()
  }

  async #close(): Promise<void> {
    const { members } = this.#context
    this.#context.isClosed = true
    this.#stopTidying()
    // Sessions stay open until their clients are cut, for the wills.
    const ended = members.live().map(member => {
      member.client.close()
      return member.ended()
    })
    await this.#context.attempt(Promise.all(ended), 'close')
    for (const member of members.live()) members.end(member)
    members.close()
    await this.#context.upkeep.close()
    this.#context.gate.uninstall()
    const { broker } = this.#context
    broker.off('clientDisconnect', this.#onDisconnect)
    broker.off('closed', this.#onClosed)
  }

  #putBack(): void {
    const { broker } = this.#context
    if (!protectedBrokers.delete(broker)) return
    broker.off('client', this.#onClient)
    this.#restore()
  }
}
