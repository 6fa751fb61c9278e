import type { PublishModifiers, PublishProperties } from '../acl/types.js'
import {
  isEmpty,
  itemsOf,
  type Members,
  membersOf,
  readFields,
  readObject,
  type Table,
  tableOf,
  writeObject,
} from './fields.js'
import { binaryText, duration, flag, type Kind, messageQos, mqttText, oneOf, text, topicName } from './kinds.js'
import { isTable, luaMembers } from './lua.js'
import type { Place } from './place.js'
import type { JsonValue } from './types.js'

type UserProperty = readonly [name: string, value: string]

/**
 * User properties: pairs in a program; in JSON an array of objects of one member each, which Lua hands on to VerneMQ in
 * order. VerneMQ can also use one object of names and values. Of an array of pairs it makes nothing and lets the
 * message through unmodified, so that form is an error here.
 */
const userProperties: Kind<readonly UserProperty[]> = {
  read: (value, at) => (at.reading.spelling === 'wire' ? readWireProperties(value, at) : readPairs(value, at)),
  lenient(value, at) {
    if (!isTable(value)) return undefined
    const properties: UserProperty[] = []
    for (const [key, item] of luaMembers(value, at)) {
      const beside = Array.isArray(value) ? undefined : ([key, item] as const)
      const [name, member] = (isTable(item) ? soleMember(luaMembers(item, at.at(key)), item) : beside) ?? []
      const known = mqttText.lenient(member, at)
      if (name === undefined || known === undefined) return undefined
      properties.push(Object.freeze([name.toWellFormed(), known] as const))
    }
    return Object.freeze(properties)
  },
}

/** Name and value where an object has just one member. */
function soleMember(members: Members, object: object): readonly [name: string, value: unknown] | undefined {
  return members.size === 1 && !Array.isArray(object) ? [...members][0] : undefined
}

function readWireProperties(value: unknown, at: Place): readonly UserProperty[] {
  if (!Array.isArray(value)) {
    return Object.freeze([...membersOf(value, at)].map(member => readPair(member, at.at(member[0]))))
  }
  const properties = itemsOf(value, at).map((item, index) => {
    const place = at.at(index)
    const member = isTable(item) && !Array.isArray(item) ? soleMember(membersOf(item, place), item) : undefined
    if (member === undefined) {
      return place.fail('must be an object of one name and its value, such as {"name":"value"}')
    }
    return readPair(member, place.at(member[0]))
  })
  return Object.freeze(properties)
}

function readPairs(value: unknown, at: Place): readonly UserProperty[] {
  const properties = itemsOf(value, at).map((item, index) => {
    const pair = itemsOf(item, at.at(index))
    return pair.length === 2 ? readPair(pair, at.at(index)) : at.at(index).fail('must be a pair of name and value')
  })
  return Object.freeze(properties)
}

function readPair([name, value]: readonly unknown[], at: Place): UserProperty {
  return Object.freeze([mqttText.read(name, at), mqttText.read(value, at)] as const)
}

const PROPERTIES: Table<PublishProperties> = tableOf<PublishProperties>({
  userProperties: {
    wire: 'p_user_property',
    ...userProperties,
    omits: isEmpty,
    write: properties => properties.map(([name, value]) => ({ [name]: value })),
  },
  messageExpiryInterval: { wire: 'p_message_expiry_interval', ...duration },
  contentType: { wire: 'p_content_type', ...mqttText },
  payloadFormatIndicator: { wire: 'p_payload_format_indicator', ...oneOf(['utf8', 'undefined']) },
  responseTopic: { wire: 'p_response_topic', ...topicName },
  correlationData: { wire: 'p_correlation_data', ...binaryText },
  willDelayInterval: { wire: 'p_will_delay_interval', ...duration },
})

const MODIFIERS: Table<PublishModifiers> = tableOf<PublishModifiers>({
  topic: { wire: 'topic', ...topicName },
  payload: { wire: 'payload', ...text },
  qos: { wire: 'qos', ...messageQos },
  retain: { wire: 'retain', ...flag },
  mountpoint: { wire: 'mountpoint', ...text },
  throttle: { wire: 'throttle', ...duration },
  properties: {
    wire: 'properties',
    ...modifierSet(PROPERTIES),
    omits: isEmpty,
    write: properties => writeObject(properties, PROPERTIES),
  },
})

/**
 * What a publish rule rewrites. VerneMQ drops the whole set for one name or value it cannot use; the rule then grants
 * and the message stays as it is. Anything but an array or object fails its script.
 */
export const publishModifiers: Kind<PublishModifiers> = {
  read: modifierSet(MODIFIERS).read,
  lenient: (value, at) => (isTable(value) ? modifierSet(MODIFIERS).lenient(value, at) : at.fail('must be an object')),
}

/** Gives the JSON form of {@link publishModifiers}. */
export function writePublishModifiers(modifiers: PublishModifiers): JsonValue {
  return writeObject(modifiers, MODIFIERS)
}

function modifierSet<R>(table: Table<R>): Kind<R> {
  return {
    read: (value, at) => readObject(value, table, at),
    lenient(value, at) {
      if (!isTable(value)) return undefined
      const members = luaMembers(value, at)
      for (const [name, member] of members) {
        const row = table.rows.find(({ wire }) => wire === name)
        if (row?.lenient(member, at.at(name)) === undefined) return undefined
      }
      return readFields(members, table, at, 'lenient')
    },
  }
}
