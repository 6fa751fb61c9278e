/** Quality of service, MQTT 5 section 4.3. */
export type Qos = 0 | 1 | 2

/** Who asks: the identity that a CONNECT established. All three are plain text and never act as wildcards. */
export interface Principal {
  /** VerneMQ's namespace of the listener; `''` by default. */
  readonly mountpoint: string
  /** Client Identifier of the CONNECT. */
  readonly clientId: string
  /** User Name of the CONNECT; `''` for a client that sent none. */
  readonly username: string
}

/**
 * MQTT 5 properties that a publish rule sets on the message; names and types are VerneMQ's, without the prefix `p_`.
 */
export interface PublishProperties {
  readonly userProperties?: readonly (readonly [name: string, value: string])[]
  /** Seconds, 0 to 4,294,967,295. */
  readonly messageExpiryInterval?: number
  readonly contentType?: string
  readonly payloadFormatIndicator?: 'utf8' | 'undefined'
  readonly responseTopic?: string
  readonly correlationData?: string
  /** Seconds, 0 to 4,294,967,295. */
  readonly willDelayInterval?: number
}

/**
 * What a publish rule rewrites in the messages it allows. An adapter that cannot apply a member refuses the message.
 */
export interface PublishModifiers {
  /** Topic name the message gets; taken literally, not checked against the ACL again (as VerneMQ does). */
  readonly topic?: string
  /** Payload the message gets, as text. */
  readonly payload?: string
  readonly qos?: Qos
  readonly retain?: boolean
  readonly mountpoint?: string
  /** Milliseconds that VerneMQ stops reading from the publisher. */
  readonly throttle?: number
  readonly properties?: PublishProperties
}

/** The filter a subscribe rule puts in place of the requested one. */
export interface SubscribeTarget {
  /** Topic filter, taken literally. */
  readonly filter: string
  /** QoS to grant; `128` refuses this filter. */
  readonly qos: Qos | 128
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  readonly retainHandling?: 'send_retain' | 'send_if_new_sub' | 'dont_send'
}

/** Allows publishing to the topic names a pattern matches. */
export interface PublishRule {
  /** Topic filter; a whole level may be `%m` (mountpoint), `%c` (client id) or `%u` (username). */
  readonly pattern: string
  /** Highest QoS the rule fits. A higher one is refused, not lowered. @default 2 */
  readonly maxQos?: Qos
  /** Largest payload the rule fits, in bytes, 0 to 268,435,456. @default 268_435_456 */
  readonly maxPayloadSize?: number
  /** Whether the rule fits messages with the retain flag. @default true */
  readonly allowedRetain?: boolean
  readonly modifiers?: PublishModifiers
}

/** Allows subscribing to the topic filters a pattern covers, and receiving the topic names it matches. */
export interface SubscribeRule {
  /** Topic filter; a whole level may be `%m` (mountpoint), `%c` (client id) or `%u` (username). */
  readonly pattern: string
  /** Highest QoS the rule fits. A higher one is refused, not lowered. @default 2 */
  readonly maxQos?: Qos
  readonly modifiers?: readonly SubscribeTarget[]
}

/** One allow rule. There are no deny rules: what no rule allows is refused. */
export type AclRule = PublishRule | SubscribeRule

/** What an account may do. An empty list allows nothing. */
export interface Acl {
  readonly publishAcl: readonly PublishRule[]
  readonly subscribeAcl: readonly SubscribeRule[]
}

/** How records and requests are read: by the rules of MQTT (`strict`), or as a VerneMQ node reads them (`vernemq`). */
export type Semantics = 'strict' | 'vernemq'

/** What is being asked. */
export type Action = 'connect' | 'publish' | 'subscribe' | 'receive'

/** Why a topic name or filter is not valid, MQTT 5 sections 1.5.4, 4.7 and 4.8.2. */
export type TopicProblem =
  | 'empty'
  | 'too_long'
  | 'null_character'
  | 'lone_surrogate'
  | 'wildcard_in_name'
  | 'wildcard_not_alone'
  | 'hash_not_last'
  | 'share_name_invalid'

/** The limit that kept a rule whose pattern fits from allowing the request. */
export type MissedLimit = 'max_qos' | 'max_payload_size' | 'payload_size_unknown' | 'retain'

/** Why a request was refused. The list is closed; `reasons` has the MQTT codes and the wording for people. */
export type DenyReason =
  | 'bad_credentials'
  | 'anonymous_refused'
  | 'client_id_refused'
  | 'client_id_taken'
  | 'record_invalid'
  | 'store_unavailable'
  | 'busy'
  | 'deadline'
  | 'throttled'
  | 'expired'
  | 'revoked'
  | 'closed'
  | 'topic_invalid'
  | 'filter_invalid'
  | 'too_deep'
  | 'no_matching_rule'
  | 'shared_subscription_unsupported'
  | 'modifiers_unsupported'

/** A request was granted. */
export interface Allowed {
  readonly allow: true
  /** The rule that allows; of several that allow together, the first. */
  readonly rule: AclRule
  /** All rules that are needed, in array order, where only several together cover a subscription. */
  readonly rules?: readonly AclRule[]
}

/** A request was refused. */
export interface Denied {
  readonly allow: false
  readonly reason: DenyReason
  /** The rule that came nearest: its pattern fits and a limit does not, or it agrees with the most leading levels. */
  readonly nearest?: AclRule
  /** Which limit of `nearest` was missed, where its pattern fits. */
  readonly missed?: MissedLimit
}

/**
 * The answer to a request. Always an object, so always truthy: read `.allow`.
 *
 * Decisions are frozen and shared: the same rule answers with the same object. Only the grant of several rules together
 * is made anew each time.
 */
export type Decision = Allowed | Denied

/** What else a PUBLISH says, for the limits of rules. */
export interface PublishFacts {
  /** @default 0 */
  readonly qos?: Qos
  /** @default false */
  readonly retain?: boolean
  /** Bytes of payload as received. Left out, it is unknown, and a rule with `maxPayloadSize` does not fit. */
  readonly payloadSize?: number
}

/** What else a SUBSCRIBE says about a filter, for the limits of rules. */
export interface SubscribeFacts {
  /** Requested maximum QoS. @default 0 */
  readonly qos?: Qos
}
