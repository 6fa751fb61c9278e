import { booleanOption, checkNames, integerOption } from '../options.js'
import type { ConnectPacket } from './packets.js'

/** Options of `createBrokerAdapter`: what the broker can do, and what it does where MQTT leaves a choice. */
export interface BrokerAdapterOptions {
  /**
   * Names a client that sent no client id, as MQTT 3.1.1 (with Clean Session) and 5 allow. Must not be empty; unique
   * names are the broker's affair. An MQTT 5 client is told its name in the CONNACK. Left out, such clients are
   * refused. What it throws, `connect` rejects with.
   */
  readonly assignClientId?: (packet: ConnectPacket) => string
  /**
   * What becomes of a PUBLISH that is refused to a client of MQTT 3.1 or 3.1.1, which have no code to say so:
   *
   * - `close`: the connection is closed [MQTT-3.3.5-2]. Clients that resend unacknowledged messages (MQTT.js does) come
   *   back with the same one and are closed again.
   * - `drop`: the message is acknowledged as if it were accepted, and goes nowhere.
   *
   * A topic name that breaks the rules of MQTT closes in any case.
   *
   * @default 'close' for MQTT 3.1.1 and 'drop' for MQTT 3.1, as VerneMQ does; MQTT 3.1 knows nothing else
   */
  readonly onDeniedPublish?: 'close' | 'drop'
  /**
   * What becomes of an MQTT 5 PUBLISH of QoS 0 that is refused. It has no acknowledgement to carry the code, so a
   * client that is not disconnected never hears of it.
   *
   * @default 'drop'
   */
  readonly onDeniedQos0?: 'drop' | 'disconnect'
  /**
   * Whether MQTT 5 clients are told the reason of a refusal in words too: one sentence of the table of reasons, which
   * names neither rules nor other clients. Left out for those that asked for no problem information, and where it would
   * exceed their maximum packet size.
   *
   * @default false
   */
  readonly reasonStrings?: boolean
  /**
   * Whether the broker has shared subscriptions. They are granted to MQTT 5 clients only; for the others, and without
   * this option, `$share/…` is refused with `shared_subscription_unsupported`.
   *
   * @default false
   */
  readonly sharedSubscriptions?: boolean
  /**
   * Whether the broker stops reading from a publisher for `throttleMs` of the verdict. Without it a rule that throttles
   * is refused with `modifiers_unsupported`.
   *
   * @default false
   */
  readonly throttling?: boolean
  /**
   * Most topic filters of one SUBSCRIBE; of a packet with more, all are refused (0x97 in MQTT 5), and none is judged.
   * MQTT has no bound of its own, and while a packet is judged nothing else happens: a filter takes 1 to 3 us, one of
   * 128 levels up to 20 us, so 10,000 of those take 0.2 s. 1 to 100,000.
   *
   * @default 10_000
   */
  readonly maxFilters?: number
  /**
   * Most topic aliases an MQTT 5 client may define; told in the CONNACK. Each can hold a topic name of 64 KiB as long
   * as the connection lasts. 0 to 65,535; with `0` an alias is an error. A broker that resolves aliases itself leaves
   * it at `0`, and hands in packets with the topic name in place and without `topicAlias`.
   *
   * @default 0
   */
  readonly topicAliasMaximum?: number
}

/** Options with every default filled in. */
export interface Settings {
  readonly assignClientId: ((packet: ConnectPacket) => string) | undefined
  /** Left to the version of the client when `undefined`. */
  readonly onDeniedPublish: 'close' | 'drop' | undefined
  readonly onDeniedQos0: 'drop' | 'disconnect'
  readonly reasonStrings: boolean
  readonly sharedSubscriptions: boolean
  readonly throttling: boolean
  readonly maxFilters: number
  readonly topicAliasMaximum: number
}

/** Every default and range of a number; the README prints this table. */
export const BROKER_DEFAULTS = {
  maxFilters: { fallback: 10_000, min: 1, max: 100_000 },
  topicAliasMaximum: { fallback: 0, min: 0, max: 65_535 },
} as const

const NAMES: ReadonlySet<string> = new Set<keyof BrokerAdapterOptions>([
  'assignClientId',
  'onDeniedPublish',
  'onDeniedQos0',
  'reasonStrings',
  'sharedSubscriptions',
  'throttling',
  'maxFilters',
  'topicAliasMaximum',
])

/**
 * Checks options and fills in defaults.
 *
 * @throws TypeError that names the option.
 */
export function resolveOptions(options: BrokerAdapterOptions): Settings {
  checkNames(options, NAMES, 'createBrokerAdapter')
  const { assignClientId, onDeniedPublish, onDeniedQos0 = 'drop' } = options
  if (assignClientId !== undefined && typeof assignClientId !== 'function') {
    throw new TypeError('"assignClientId" option must be a function')
  }
  if (onDeniedPublish !== undefined && onDeniedPublish !== 'close' && onDeniedPublish !== 'drop') {
    throw new TypeError('"onDeniedPublish" option must be "close" or "drop"')
  }
  if (onDeniedQos0 !== 'drop' && onDeniedQos0 !== 'disconnect') {
    throw new TypeError('"onDeniedQos0" option must be "drop" or "disconnect"')
  }
  return {
    assignClientId,
    onDeniedPublish,
    onDeniedQos0,
    reasonStrings: booleanOption(options, 'reasonStrings', false),
    sharedSubscriptions: booleanOption(options, 'sharedSubscriptions', false),
    throttling: booleanOption(options, 'throttling', false),
    maxFilters: integerOption(options, 'maxFilters', BROKER_DEFAULTS.maxFilters),
    topicAliasMaximum: integerOption(options, 'topicAliasMaximum', BROKER_DEFAULTS.topicAliasMaximum),
  }
}
