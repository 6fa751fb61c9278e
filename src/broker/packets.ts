import type { Qos } from '../acl/types.js'

/** Protocol Level of a CONNECT: MQTT 3.1, 3.1.1 or 5. */
export type ProtocolVersion = 3 | 4 | 5

/** User properties of MQTT 5, as `mqtt-packet` has them; a name that occurs more than once has an array. */
export interface UserProperties {
  [name: string]: string | string[]
}

/** Properties of an MQTT 5 PUBLISH, section 3.3.2.3. */
export interface MessageProperties {
  readonly payloadFormatIndicator?: boolean
  /** Seconds. */
  readonly messageExpiryInterval?: number
  readonly topicAlias?: number
  readonly responseTopic?: string
  readonly correlationData?: Buffer
  readonly userProperties?: UserProperties
  readonly subscriptionIdentifier?: number | number[]
  readonly contentType?: string
}

/** Properties of the will in an MQTT 5 CONNECT, section 3.1.3.2. */
export interface WillProperties extends MessageProperties {
  /** Seconds that the broker waits before it publishes the will. */
  readonly willDelayInterval?: number
}

/** The will of a CONNECT. */
export interface Will {
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos?: Qos
  readonly retain?: boolean
  readonly properties?: WillProperties
}

/** A CONNECT, as `mqtt-packet` parses it. Only what is decided by is listed. */
export interface ConnectPacket {
  /** `MQIsdp` with version 3, `MQTT` with 4 and 5. */
  readonly protocolId?: string
  readonly protocolVersion?: number
  readonly clientId: string
  /** Clean Session (3.x) or Clean Start (5). */
  readonly clean?: boolean
  readonly username?: string
  readonly password?: Buffer | string
  readonly will?: Will
  readonly properties?: {
    /** `false` asks for answers without reason strings. */
    readonly requestProblemInformation?: boolean
    /** Bytes of the largest packet the client accepts. */
    readonly maximumPacketSize?: number
    readonly authenticationMethod?: string
  }
}

/** A PUBLISH, as `mqtt-packet` parses and writes it. */
export interface PublishPacket {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: Qos
  readonly retain: boolean
  readonly dup: boolean
  readonly messageId?: number
  readonly properties?: MessageProperties
}

/** One topic filter of a SUBSCRIBE. */
export interface SubscriptionRequest {
  readonly topic: string
  readonly qos: Qos
  /** No Local. */
  readonly nl?: boolean
  /** Retain As Published. */
  readonly rap?: boolean
  /** Retain Handling: 0, 1 or 2. */
  readonly rh?: number
}

/** A SUBSCRIBE, as `mqtt-packet` parses it. */
export interface SubscribePacket {
  readonly messageId?: number
  readonly subscriptions: readonly SubscriptionRequest[]
}

/** Properties of an answer; only MQTT 5 has them. */
export interface AnswerProperties {
  /** For people; see the `reasonStrings` option. */
  reasonString?: string
}

/** Properties of a CONNACK that the adapter sets. */
export interface ConnackProperties extends AnswerProperties {
  /** The client id that was assigned to a client without one. */
  assignedClientIdentifier?: string
  topicAliasMaximum?: number
  sharedSubscriptionAvailable?: boolean
}

/** A CONNACK to send: `returnCode` for MQTT 3.1 and 3.1.1, `reasonCode` for MQTT 5. */
export interface ConnackPacket {
  readonly cmd: 'connack'
  /** `false`; set it before sending where the broker has kept the session. */
  sessionPresent: boolean
  readonly returnCode?: number
  readonly reasonCode?: number
  readonly properties?: ConnackProperties
}

/** A PUBACK or PUBREC to send; the code is there for MQTT 5 only. */
export interface AckPacket {
  readonly cmd: 'puback' | 'pubrec'
  readonly messageId: number
  readonly reasonCode?: number
  readonly properties?: AnswerProperties
}

/** A SUBACK to send: one code for each filter, in the order of the SUBSCRIBE. */
export interface SubackPacket {
  readonly cmd: 'suback'
  readonly messageId: number
  readonly granted: number[]
  readonly properties?: AnswerProperties
}

/** A DISCONNECT to send. Only MQTT 5 lets a server send one. */
export interface DisconnectPacket {
  readonly cmd: 'disconnect'
  readonly reasonCode: number
  readonly properties?: AnswerProperties
}
