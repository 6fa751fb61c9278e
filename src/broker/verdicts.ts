import type { DenyReason, Qos, SubscribeTarget } from '../acl/types.js'
import type { RevokeCause } from '../authorizer/types.js'
import type { RefusalReason } from './codes.js'
import type { AckPacket, ConnackPacket, DisconnectPacket, PublishPacket, SubackPacket } from './packets.js'
import type { BrokerSession } from './session.js'

/** Where a connection came from. */
export interface Peer {
  /** VerneMQ's namespace of the listener. @default '' */
  readonly mountpoint?: string | undefined
  /** Remote address, for events, for turns among logins that need a hash, and for limits of failed logins. */
  readonly address?: string | undefined
  /** Aborted when the client hangs up, so that no password is hashed for it in vain. */
  readonly signal?: AbortSignal | undefined
}

/**
 * What to do about a packet: first send `send` where there is one, then close the connection if `close` says so. MQTT
 * 3.1 and 3.1.1 have no DISCONNECT from the server, so that `send` may be missing where `close` is set.
 */
export interface Answer<P> {
  readonly send: P
  readonly close: boolean
}

/** A client may connect. */
export interface ConnectAccepted extends Answer<ConnackPacket> {
  readonly session: BrokerSession
  readonly close: false
}

/** A client may not connect. */
export interface ConnectRefused extends Answer<ConnackPacket> {
  readonly session: undefined
  readonly close: true
  readonly reason: RefusalReason
}

/** What to do about a CONNECT. */
export type ConnectVerdict = ConnectAccepted | ConnectRefused

/** Options of a granted subscription; without effect for MQTT 3.1 and 3.1.1, whose clients cannot ask for them. */
export interface GrantOptions {
  /** Whether the client is spared its own messages. */
  readonly noLocal: boolean
  /** Whether messages keep the retain flag they were published with. */
  readonly retainAsPublished: boolean
  /** Whether retained messages are sent upon subscribing. */
  readonly retainHandling: NonNullable<SubscribeTarget['retainHandling']>
}

/** A subscription the broker is to hold. Plain data, fit for being stored. */
export interface Grant {
  /**
   * Topic filter as the client wrote it, `$share/…` included. Later packets name the subscription by it: a SUBSCRIBE
   * with the same text replaces it, an UNSUBSCRIBE ends it.
   */
  readonly requested: string
  readonly requestedQos: Qos
  /** Topic filter to match: without share name, and as the rule says where the rule rewrites it. */
  readonly filter: string
  /** Name of the shared subscription. */
  readonly shareName?: string
  /** Highest QoS to deliver with. */
  readonly qos: Qos
  readonly options: GrantOptions
}

/** A topic filter that was refused. */
export interface DeniedFilter {
  readonly filter: string
  readonly reason: DenyReason
}

/**
 * What to do about a SUBSCRIBE: send the SUBACK, and hold what was granted. With `close` it is a packet that has no
 * answer, and `send` is the DISCONNECT for MQTT 5.
 */
export interface SubscribeVerdict extends Answer<SubackPacket | DisconnectPacket | undefined> {
  /** In the order of the packet; of a filter that occurs twice, the later replaces the earlier. */
  readonly granted: readonly Grant[]
  readonly denied: readonly DeniedFilter[]
  /** Why the connection is closed; without `close`, why the packet was refused as a whole: `denied` is empty then. */
  readonly reason?: RefusalReason
}

/** A PUBLISH is to be delivered. */
export interface PublishDelivered extends Answer<AckPacket | undefined> {
  readonly action: 'deliver'
  readonly close: false
  /**
   * The message for the subscribers and the store of retained messages: topic alias resolved, modifiers of the rule
   * applied. Its QoS may differ from the one that `send` acknowledges.
   */
  readonly packet: PublishPacket
  /** How long not to read from the client, in milliseconds; only with the `throttling` option. */
  readonly throttleMs?: number
}

/** A PUBLISH goes nowhere; `send` acknowledges it where its QoS wants that. */
export interface PublishDropped extends Answer<AckPacket | undefined> {
  readonly action: 'drop'
  readonly close: false
  readonly reason: RefusalReason
}

/** A PUBLISH goes nowhere, and the connection ends; `send` is the DISCONNECT for MQTT 5. */
export interface PublishRefused extends Answer<DisconnectPacket | undefined> {
  readonly action: 'disconnect'
  readonly close: true
  readonly reason: RefusalReason
}

/** What to do about a PUBLISH. */
export type PublishVerdict = PublishDelivered | PublishDropped | PublishRefused

/** A session was ended by a change of its record, or by another account. */
export interface Revocation extends Answer<DisconnectPacket | undefined> {
  readonly close: true
  readonly cause: RevokeCause
}
