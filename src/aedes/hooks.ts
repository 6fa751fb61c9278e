import type { Broker, Hooks } from './broker.js'

const NAMES = ['preConnect', 'authenticate', 'authorizePublish', 'authorizeSubscribe', 'authorizeForward'] as const

type HookName = (typeof NAMES)[number]

/** What `installHooks` is told. */
export interface Installation {
  readonly ours: Hooks
  /** Filled with the hooks found that are not aedes' defaults, and with those assigned later. */
  readonly guests: Partial<Hooks>
  /** A hook was assigned while ours are in force. */
  assigned(name: HookName): void
}

/**
 * Puts our hooks on a broker, so that they stay in force: aedes keeps hooks as plain properties, and an assignment
 * would silently undo the protection. What is assigned becomes a guest instead, asked after ours.
 *
 * @returns What puts the guests, or the defaults, back.
 */
export function installHooks(broker: Broker, { ours, guests, assigned }: Installation): () => void {
  const found: Partial<Hooks> = {}
  const defaults = defaultsOf(broker)
  for (const name of NAMES) {
    Object.assign(found, { [name]: broker[name] })
    if (broker[name] !== defaults[name]) Object.assign(guests, { [name]: broker[name] })
    const own = ours[name]
    Object.defineProperty(broker, name, {
      configurable: true,
      enumerable: true,
      get: () => own,
      set: (hook: unknown) => {
        if (hook === own) {
          delete guests[name]
          return
        }
        Object.assign(guests, { [name]: typeof hook === 'function' ? hook : undefined })
        assigned(name)
      },
    })
  }
  keepFast(broker)
  return () => {
    for (const name of NAMES) {
      const value = guests[name] ?? defaults[name] ?? found[name]
      Object.defineProperty(broker, name, { configurable: true, enumerable: true, writable: true, value })
    }
  }
}

/**
 * A property that becomes an accessor makes V8 keep the object as a hash table, in which every field of the broker is
 * then looked up, dozens of times a message. An object that was a prototype once is made fast again when it is next
 * read.
 */
function keepFast(broker: Broker): void {
  Object.create(broker)
}

/**
 * The hooks of a broker without options. aedes does not export them; a broker that does not listen costs next to
 * nothing.
 */
function defaultsOf(broker: Broker): Partial<Hooks> {
  for (let proto = Object.getPrototypeOf(broker); proto !== null; proto = Object.getPrototypeOf(proto)) {
    // The class of aedes, not one derived from it.
    if (Object.hasOwn(proto, 'registerClient')) return new proto.constructor()
  }
  return {}
}
