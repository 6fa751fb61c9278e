import {
  describeTopicProblem,
  MAX_TOPIC_BYTES,
  plainFilterProblem,
  topicFilterProblem,
  topicNameProblem,
} from '../acl/topic.js'
import type { Qos, TopicProblem } from '../acl/types.js'
import { utf8Length } from './json.js'
import type { Place } from './place.js'

/** A kind of value, and the two ways of judging it. Both hand back the canonical form. */
export interface Kind<T> {
  /** Judges by the rules of MQTT and of this package; throws `RecordInvalid` at the place. */
  readonly read: (value: unknown, at: Place) => T
  /** Takes a value as VerneMQ does; `undefined` where VerneMQ cannot use it. */
  readonly lenient: (value: unknown, at: Place) => T | undefined
}

/** Four bytes hold it, on the wire of MQTT and in Erlang's timers alike. */
const MAX_UINT32 = 4_294_967_295

/** Largest payload that VerneMQ knows of, in bytes. */
export const MAX_PAYLOAD_BYTES = 268_435_456

/** Any well-formed text. */
export const text: Kind<string> = {
  read(value, at) {
    if (typeof value !== 'string') return at.fail('must be a string')
    at.reading.take(value.length, at)
    return value.isWellFormed() ? value : at.fail(describeTopicProblem('lone_surrogate'))
  },
  lenient: value => (typeof value === 'string' ? value.toWellFormed() : undefined),
}

/** What MQTT sends as Binary Data, written as text: MQTT 5 section 1.5.6. */
export const binaryText: Kind<string> = { read: readShortText, lenient: text.lenient }

/** A UTF-8 Encoded String of MQTT: section 1.5.4 of MQTT 5. */
export const mqttText: Kind<string> = {
  read(value, at) {
    const read = readShortText(value, at)
    return read.includes('\0') ? at.fail(describeTopicProblem('null_character')) : read
  },
  lenient: text.lenient,
}

function readShortText(value: unknown, at: Place): string {
  const read = text.read(value, at)
  return utf8Length(read) > MAX_TOPIC_BYTES ? at.fail(describeTopicProblem('too_long')) : read
}

/** A topic name to publish to. */
export const topicName: Kind<string> = {
  read: readTopic(topicNameProblem),
  lenient: value => usable(value, topic => topicNameProblem(topic) === undefined),
}

/** The pattern of a rule. VerneMQ keeps an invalid one and never matches it; so does `compileAcl`. */
export const pattern: Kind<string> = { read: readTopic(plainFilterProblem), lenient: text.lenient }

/** A filter to subscribe to in place of the requested one. */
export const filter: Kind<string> = {
  read: readTopic(topicFilterProblem),
  lenient: value => usable(value, isFilterOfVernemq),
}

function readTopic(problemOf: (topic: string) => TopicProblem | undefined): Kind<string>['read'] {
  return (value, at) => {
    if (typeof value !== 'string') return at.fail('must be a string')
    at.reading.take(value.length, at)
    const problem = problemOf(value)
    return problem === undefined ? value : at.fail(describeTopicProblem(problem))
  }
}

function usable(value: unknown, accepts: (topic: string) => boolean): string | undefined {
  const topic = typeof value === 'string' ? value.toWellFormed() : undefined
  return topic !== undefined && accepts(topic) ? topic : undefined
}

/** VerneMQ takes `$share` for a level like any other, save that it wants two more behind it. */
function isFilterOfVernemq(topic: string): boolean {
  const levels = topic.split('/', 3)
  return plainFilterProblem(topic) === undefined && (levels[0] !== '$share' || levels.length === 3)
}

export const flag: Kind<boolean> = {
  read: (value, at) => (typeof value === 'boolean' ? value : at.fail('must be true or false')),
  lenient: value => (typeof value === 'boolean' ? value : undefined),
}

/** The highest QoS a rule fits. VerneMQ cuts fractions off. */
export const maxQos: Kind<Qos> = {
  read: readQos,
  lenient: value => numberWithin(value, 2, Math.trunc) as Qos | undefined,
}

/** The QoS a message gets. VerneMQ rounds fractions. */
export const messageQos: Kind<Qos> = {
  read: readQos,
  lenient: value => numberWithin(value, 2, Math.round) as Qos | undefined,
}

function readQos(value: unknown, at: Place): Qos {
  return value === 0 || value === 1 || value === 2 ? ((value + 0) as Qos) : at.fail('must be 0, 1 or 2')
}

/** The largest payload a rule fits, in bytes. VerneMQ cuts fractions off. */
export const payloadSize: Kind<number> = {
  read: integer(MAX_PAYLOAD_BYTES),
  lenient: value => numberWithin(value, MAX_PAYLOAD_BYTES, Math.trunc),
}

/** Seconds or milliseconds in four bytes. VerneMQ rounds, and knows no bounds. */
export const duration: Kind<number> = {
  read: integer(MAX_UINT32),
  lenient: value => (typeof value === 'number' ? Math.round(value) + 0 : undefined),
}

/** Judges integers from 0 to `most`. */
export function integer(most: number): (value: unknown, at: Place) => number {
  return (value, at) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
      ? value + 0
      : at.fail(`must be an integer from 0 to ${most}`)
}

function numberWithin(value: unknown, most: number, toInteger: (value: number) => number): number | undefined {
  return typeof value === 'number' && value >= 0 && value <= most ? toInteger(value) + 0 : undefined
}

/** One of a few words. */
export function oneOf<T extends string>(words: readonly T[]): Kind<T> {
  const find = (value: unknown) => words.find(word => word === value)
  return {
    read: (value, at) => find(value) ?? at.fail(`must be ${words.map(word => JSON.stringify(word)).join(' or ')}`),
    lenient: find,
  }
}
