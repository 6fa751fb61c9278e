/**
 * Packet-level adapter for brokers written in Node: takes packets of `mqtt-packet`'s shape, and answers with what to
 * send and what to do, for MQTT 3.1, 3.1.1 and 5.
 *
 * @module
 */
export { type BrokerAdapter, createBrokerAdapter } from './adapter.js'
export type { ProtocolReason, RefusalReason } from './codes.js'
export { BROKER_DEFAULTS, type BrokerAdapterOptions } from './options.js'
export type {
  AckPacket,
  AnswerProperties,
  ConnackPacket,
  ConnackProperties,
  ConnectPacket,
  DisconnectPacket,
  MessageProperties,
  ProtocolVersion,
  PublishPacket,
  SubackPacket,
  SubscribePacket,
  SubscriptionRequest,
  UserProperties,
  Will,
  WillProperties,
} from './packets.js'
export type { BrokerSession } from './session.js'
export type {
  Answer,
  ConnectAccepted,
  ConnectRefused,
  ConnectVerdict,
  DeniedFilter,
  Grant,
  GrantOptions,
  Peer,
  PublishDelivered,
  PublishDropped,
  PublishRefused,
  PublishVerdict,
  Revocation,
  SubscribeVerdict,
} from './verdicts.js'
