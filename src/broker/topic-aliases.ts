import type { ProtocolReason } from './codes.js'
import type { PublishPacket } from './packets.js'

/** The topic name a PUBLISH is about, or what is wrong with how it names it. */
export type ResolvedTopic = { readonly topic: string } | { readonly fault: ProtocolReason }

/** The topic aliases that one MQTT 5 client has defined (section 3.3.2.3.4). They last as long as its connection. */
export class TopicAliases {
  readonly #maximum: number
  #topics: Map<number, string> | undefined

  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** Finds the topic name of a PUBLISH, and takes note of the alias that it defines. */
  resolve({ topic, properties }: PublishPacket): ResolvedTopic {
    const alias = properties?.topicAlias
    if (alias === undefined) return topic === '' ? { fault: 'protocol_error' } : { topic }
    if (!Number.isInteger(alias) || alias < 1 || alias > this.#maximum) return { fault: 'topic_alias_invalid' }
    if (topic === '') {
      const known = this.#topics?.get(alias)
      return known === undefined ? { fault: 'protocol_error' } : { topic: known }
    }
    this.#topics ??= new Map()
    this.#topics.set(alias, topic)
    return { topic }
  }
}
