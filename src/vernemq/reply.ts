import type { Denied, PublishModifiers, PublishProperties, SubscribeTarget } from '../acl/types.js'
import type { EndpointResponse } from '../endpoint/index.js'
import type { SubscriptionBody } from './body.js'

/**
 * How VerneMQ refuses one filter, in MQTT 3.x and 5 alike. Every other number of 3 and more is granted by some version
 * although the client is told otherwise.
 */
const NOT_ALLOWED = 128

/** One item of an answer to a SUBSCRIBE: the filter to subscribe to, or its refusal. */
export interface GrantedTopic {
  readonly topic: string
  readonly qos: number
  readonly no_local?: boolean
  readonly rap?: boolean
  readonly retain_handling?: string
}

const HEADERS: Readonly<Record<string, string>> = Object.freeze({ 'content-type': 'application/json' })

function reply(body: string): EndpointResponse {
  return Object.freeze({ status: 200, headers: HEADERS, body })
}

/** Granted as asked. Nothing but the result: an empty `modifiers` resets the session. */
export const GRANTED: EndpointResponse = reply('{"result":"ok"}')

/** The answer to what is only told. */
export const NOTED: EndpointResponse = reply('{}')

const refusals: Map<string, EndpointResponse> = new Map()

/** The refusal of the whole packet. VerneMQ writes the text to its log; it cannot choose a code of MQTT. */
export function refused({ reason, missed }: Denied): EndpointResponse {
  const text = missed === undefined ? reason : `${reason}, ${missed}`
  let response = refusals.get(text)
  if (response === undefined) {
    response = reply(JSON.stringify({ result: { error: text } }))
    refusals.set(text, response)
  }
  return response
}

/**
 * Granted with the changes a publish rule makes.
 *
 * @param isBase64 Whether the endpoint exchanges payloads in base64.
 */
export function grantedPublish(modifiers: PublishModifiers, isV5: boolean, isBase64: boolean): EndpointResponse {
  const { topic, payload, qos, retain, mountpoint, throttle, properties } = modifiers
  const changes = {
    topic,
    payload: payload === undefined || !isBase64 ? payload : base64(payload),
    qos,
    retain,
    mountpoint,
    throttle,
    properties: isV5 && properties !== undefined ? nonEmpty(publishProperties(properties)) : undefined,
  }
  // What is undefined is left out of the JSON.
  return nonEmpty(changes) === undefined ? GRANTED : reply(JSON.stringify({ result: 'ok', modifiers: changes }))
}

/** Granted filter by filter, in the order of the request; a list in the shape of the other version would grant all. */
export function grantedTopics(topics: readonly GrantedTopic[], isV5: boolean): EndpointResponse {
  return reply(JSON.stringify(isV5 ? { result: 'ok', modifiers: { topics } } : { result: 'ok', topics }))
}

/** Unsubscribed from other filters than named. */
export function unsubscribedFrom(topics: readonly string[], isV5: boolean): EndpointResponse {
  return reply(JSON.stringify(isV5 ? { result: 'ok', modifiers: { topics } } : { result: 'ok', topics }))
}

/** A filter granted as asked. What an item of MQTT 5 leaves out, VerneMQ takes for its own default. */
export function asAsked(asked: SubscriptionBody, isV5: boolean): GrantedTopic {
  return rewritten(asked, { filter: asked.topic, qos: asked.qos }, isV5)
}

/** A filter that a rule replaces, with what it does not set as asked. */
export function rewritten(asked: SubscriptionBody, target: SubscribeTarget, isV5: boolean): GrantedTopic {
  const { filter, qos, noLocal, retainAsPublished, retainHandling } = target
  if (!isV5) return { topic: filter, qos }
  return {
    topic: filter,
    qos,
    no_local: noLocal ?? asked.no_local ?? false,
    rap: retainAsPublished ?? asked.rap ?? false,
    retain_handling: retainHandling ?? asked.retain_handling ?? 'send_retain',
  }
}

export function notAllowed({ topic }: SubscriptionBody): GrantedTopic {
  return { topic, qos: NOT_ALLOWED }
}

/** The same answer, which VerneMQ may give by itself for so many seconds; never 0, which it keeps for ever. */
export function cachedFor({ status, body }: EndpointResponse, seconds: number): EndpointResponse {
  return { status, headers: { ...HEADERS, 'cache-control': `max-age=${seconds}` }, body }
}

/** A request that is none of VerneMQ's. */
export function malformed(status: number, code: string, message: string): EndpointResponse {
  return { status, headers: HEADERS, body: JSON.stringify({ error: code, message }) }
}

function publishProperties(properties: PublishProperties): object {
  const user = properties.userProperties ?? []
  return {
    // Read by position: the key must come first.
    p_user_property: user.length === 0 ? undefined : user.map(([key, val]) => ({ key: base64(key), val: base64(val) })),
    p_message_expiry_interval: properties.messageExpiryInterval,
    p_content_type: properties.contentType,
    p_payload_format_indicator: properties.payloadFormatIndicator,
    p_response_topic: properties.responseTopic,
    p_correlation_data: properties.correlationData,
    p_will_delay_interval: properties.willDelayInterval,
  }
}

function nonEmpty<T extends object>(members: T): T | undefined {
  return Object.values(members).some(value => value !== undefined) ? members : undefined
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
