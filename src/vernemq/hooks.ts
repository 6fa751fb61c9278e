import {
  type Check,
  filters,
  flag,
  notedSubscriptions,
  nullableText,
  objectWith,
  optionalText,
  port,
  properties,
  qos,
  subscriptions,
  text,
} from './checks.js'

/** What a hook is about. Only the first three decide; `note` is told, and its answer not read. */
export type HookRole = 'register' | 'publish' | 'subscribe' | 'unsubscribe' | 'deliver' | 'auth' | 'note'

/** One hook of `vmq_webhooks`. */
export interface Hook {
  readonly name: string
  readonly role: HookRole
  /** Whether sessions of MQTT 5 call it, whose answers have another shape. */
  readonly isV5: boolean
  /** What the members of its body must be. */
  readonly fields: Fields
  /** Checks a body by them. Further members are ignored: `forward_connection_opts` adds some. */
  readonly check: Check
}

type Fields = Readonly<Record<string, Check>>

const CLIENT: Fields = { mountpoint: text, client_id: text }
const USER: Fields = { username: nullableText, ...CLIENT }
const PEER: Fields = { peer_addr: text, peer_port: port, ...USER }
const PASSWORD: Fields = { password: nullableText }
const MESSAGE: Fields = { qos, topic: text, payload: text, retain: flag }
// With `no_payload` the member is left out, in these two hooks only.
const ASKED_MESSAGE: Fields = { ...MESSAGE, payload: optionalText }
const V5: Fields = { properties }

function hook(name: string, role: HookRole, fields: Fields): [string, Hook] {
  return [name, { name, role, isV5: name.endsWith('_m5'), fields, check: objectWith(fields) }]
}

/** All 22 hooks, by the name in the header `vernemq-hook`. */
export const HOOKS: ReadonlyMap<string, Hook> = new Map([
  hook('auth_on_register', 'register', { ...PEER, ...PASSWORD, clean_session: flag }),
  hook('auth_on_register_m5', 'register', { ...PEER, ...PASSWORD, clean_start: flag, ...V5 }),
  hook('auth_on_publish', 'publish', { ...USER, ...ASKED_MESSAGE }),
  hook('auth_on_publish_m5', 'publish', { ...USER, ...ASKED_MESSAGE, ...V5 }),
  hook('auth_on_subscribe', 'subscribe', { ...USER, topics: subscriptions }),
  hook('auth_on_subscribe_m5', 'subscribe', { ...USER, topics: subscriptions, ...V5 }),
  hook('on_unsubscribe', 'unsubscribe', { ...USER, topics: filters }),
  hook('on_unsubscribe_m5', 'unsubscribe', { ...USER, topics: filters, ...V5 }),
  hook('on_deliver', 'deliver', { ...USER, ...MESSAGE, ...V5 }),
  hook('on_deliver_m5', 'deliver', { ...USER, ...MESSAGE, ...V5 }),
  hook('on_auth_m5', 'auth', { ...USER, ...V5 }),
  hook('on_register', 'note', PEER),
  hook('on_register_m5', 'note', { ...PEER, ...V5 }),
  hook('on_publish', 'note', { ...USER, ...MESSAGE }),
  hook('on_publish_m5', 'note', { ...USER, ...MESSAGE, ...V5 }),
  hook('on_subscribe', 'note', { ...USER, topics: notedSubscriptions }),
  hook('on_subscribe_m5', 'note', { ...USER, topics: notedSubscriptions, ...V5 }),
  hook('on_offline_message', 'note', { ...CLIENT, ...MESSAGE }),
  hook('on_client_wakeup', 'note', CLIENT),
  hook('on_client_offline', 'note', CLIENT),
  hook('on_client_gone', 'note', CLIENT),
  hook('on_session_expired', 'note', CLIENT),
])
