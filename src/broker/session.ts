import type { Principal } from '../acl/types.js'
import type { Session } from '../authorizer/types.js'
import type { ConnectPacket, ProtocolVersion, Will } from './packets.js'
import { TopicAliases } from './topic-aliases.js'

/** What a CONNECT says about how its client wants to be answered. */
export interface ClientTraits {
  readonly protocolVersion: ProtocolVersion
  /** Whether the client takes reason strings (Request Problem Information). */
  readonly wantsReasons: boolean
  /** Bytes of the largest packet the client accepts. */
  readonly maximumPacketSize: number
}

/**
 * A client that is connected through a broker adapter: the authorizer's session, and what the adapter has to know of
 * the CONNECT. Made by `connect`; close it when the connection is gone and the will, if one is due, was judged.
 */
export class BrokerSession implements ClientTraits {
  /** The session of the authorizer: the rules in force, and their changes. */
  readonly rights: Session
  readonly protocolVersion: ProtocolVersion
  readonly wantsReasons: boolean
  readonly maximumPacketSize: number
  /** The will of the CONNECT as the client sent it. Publish what `adapter.will()` returns, not this. */
  readonly will: Will | undefined
  /** The topic aliases the client has defined. */
  readonly topicAliases: TopicAliases
  #isClosed = false

  constructor(rights: Session, traits: ClientTraits, will: Will | undefined, topicAliasMaximum: number) {
    this.rights = rights
    this.protocolVersion = traits.protocolVersion
    this.wantsReasons = traits.wantsReasons
    this.maximumPacketSize = traits.maximumPacketSize
    this.will = will
    this.topicAliases = new TopicAliases(topicAliasMaximum)
  }

  /** Who is connected; `clientId` is the assigned one where the client sent none. */
  get principal(): Principal {
    return this.rights.principal
  }

  /** Whether the session was closed or revoked. */
  get isOver(): boolean {
    return this.#isClosed || this.rights.revokeCause !== undefined
  }

  /** Ends the session. Everything is refused from here on, save the will. May be called again. */
  close(): void {
    this.#isClosed = true
    this.rights.close()
  }
}

/** Reads how a client wants to be answered; `undefined` for a protocol that is none of the three. */
export function traitsOf({ protocolId, protocolVersion, properties }: ConnectPacket): ClientTraits | undefined {
  const expectedId = protocolVersion === 3 ? 'MQIsdp' : 'MQTT'
  if (protocolVersion !== 3 && protocolVersion !== 4 && protocolVersion !== 5) return undefined
  if (protocolId !== undefined && protocolId !== expectedId) return undefined
  const { requestProblemInformation = true, maximumPacketSize = Number.POSITIVE_INFINITY } = properties ?? {}
  return {
    protocolVersion,
    wantsReasons: protocolVersion === 5 && requestProblemInformation === true,
    // A property given twice is an array, and a client without sense gets no extras.
    maximumPacketSize: typeof maximumPacketSize === 'number' ? maximumPacketSize : 0,
  }
}
