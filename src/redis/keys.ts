import { decodeRecordKey } from '../record/index.js'
import type { RecordKey } from '../record/types.js'
import type { RedisSettings } from './options.js'

/** Names of everything that one store has in Redis, as bytes where they are compared. */
export interface KeySpace {
  /** Start of all record keys, for tracking. */
  readonly recordPrefix: string
  /** Glob of all record keys, for SCAN. */
  readonly recordGlob: string
  /**
   * Start of the keys that this store's beats write. Sorts after `recordPrefix`: Redis sends the invalidations of one
   * turn of its event loop in the order of the prefixes, so a beat comes after all changes that it vouches for.
   */
  readonly beatPrefix: string
  /** A key for one beat, never given twice; `end` decides which Cluster node owns it. */
  beatKey(end: string): Buffer
  /** Redis key of a name of the shared state. */
  sharedKey(name: string): Buffer
  /** Start of the keys that count something. */
  limiterPrefix(name: string): string
  /** A key that never exists. */
  readonly witnessKey: Buffer
  /** The sorted set of the nodes that are alive, each with the moment on the server's clock up to which it counts. */
  readonly nodesKey: Buffer
  /** Start of the keys that writers ask nodes by. Sorts between `recordPrefix` and `beatPrefix`. */
  readonly askPrefix: string
  /** Key of the question with this id. */
  askKey(id: string): Buffer
  /** Id of the question that a Redis key is of, or `undefined` when it is none. */
  askId(redisKey: Buffer): string | undefined
  /** Key for the answer of one node; on a Cluster where the question is. */
  rowKey(id: string, node: string): Buffer
  /** Redis key of a record that nobody has; `end` as above. */
  unusedKey(end: string): Buffer
  /**
   * The channel that is subscribed to. No MQTT client can publish to a name with `#`, whatever bridges MQTT to Redis.
   */
  readonly channel: string
  /** Redis key of a record key's canonical text. */
  redisKey(text: string): Buffer
  /** Record key of a Redis key, or `undefined` when it is none: such keys are never read, so they do not matter. */
  recordKey(redisKey: Buffer): RecordKey | undefined
}

/** What stands behind the prefix of a question: its id as a hash tag. */
const ASK_ID = /^\{([0-9a-f-]{36})\}$/

/** Names for a store; `node` tells its keys from those of other stores on the same Redis. */
export function createKeySpace({ keyPrefix, ownPrefix }: RedisSettings, node: string): KeySpace {
  const prefix = Buffer.from(keyPrefix)
  const own = `${keyPrefix}${ownPrefix}`
  const beatPrefix = `${own}beat:${node}:`
  const askPrefix = `${own}ask:`
  let beats = 0
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  return {
    recordPrefix: `${keyPrefix}["`,
    recordGlob: `${keyPrefix.replace(/[*?[\]\\^-]/g, '\\$&')}\\["*`,
    beatPrefix,
    beatKey: end => Buffer.from(`${beatPrefix}${++beats}${end}`),
    sharedKey: name => Buffer.from(`${own}shared:${name}`),
    limiterPrefix: name => `${own}throttle:${name}`,
    witnessKey: Buffer.from(`${beatPrefix}witness`),
    nodesKey: Buffer.from(`${own}nodes`),
    askPrefix,
    askKey: id => Buffer.from(`${askPrefix}{${id}}`),
    askId: redisKey => {
      const text = redisKey.toString()
      return text.startsWith(askPrefix) ? ASK_ID.exec(text.slice(askPrefix.length))?.[1] : undefined
    },
    rowKey: (id, name) => Buffer.from(`${own}row:{${id}}:${name}`),
    unusedKey: end => Buffer.from(`${keyPrefix}["mqtt-warden","${node}${end}","check"]`),
    channel: `${own}#`,
    redisKey: text => Buffer.concat([prefix, Buffer.from(text)]),
    recordKey: redisKey => {
      if (!redisKey.subarray(0, prefix.length).equals(prefix)) return undefined
      try {
        return decodeRecordKey(utf8.decode(redisKey.subarray(prefix.length)))
      } catch {
        return undefined
      }
    },
  }
}
