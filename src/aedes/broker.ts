import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Qos } from '../acl/types.js'

// What of aedes 1.x is used here, where its own types are missing or too weak.

/** A PUBLISH, or the will of a CONNECT, before aedes makes its own packet of it. */
export interface Message {
  cmd?: string
  topic: string
  payload: Uint8Array | string
  qos: Qos
  retain: boolean
  /** Set on wills, by the persistence that stores them. */
  readonly brokerId?: string
  readonly clientId?: string
}

/** One filter of a SUBSCRIBE, or a stored one. */
export interface Subscription {
  readonly topic: string
  readonly qos: number
}

/** The CONNECT packet, as `preConnect` gets it. */
export interface Connect {
  readonly will?: Message
}

export interface BrokerClient {
  /** `null` until the CONNECT passed `preConnect`. */
  readonly id: string
  readonly clean: boolean
  readonly closed: boolean
  readonly connecting: boolean
  readonly connected: boolean
  readonly conn: Duplex & {
    /** Set by aedes. */
    readonly client?: BrokerClient
    readonly remoteAddress?: string | undefined
  }
  readonly req?: IncomingMessage | undefined
  readonly connDetails?: { readonly ipAddress?: string } | null
  readonly subscriptions: Readonly<Record<string, { readonly qos: number }>>
  /** The will, from the moment aedes stored it until it was published or dropped. */
  readonly will: Message | null
  close(done?: () => void): void
  /** Takes strings; the objects that aedes' types ask for are silently ignored. */
  unsubscribe(filters: readonly string[], done: (error?: Error) => void): void
}

/** Names a client to the persistence. */
export interface StoredClient {
  readonly id: string
  readonly brokerId?: string
}

/** A queued packet; `messageId` is given when it is sent. */
export interface QueuedPacket {
  readonly cmd: string
  /** Of a PUBLISH. */
  readonly topic?: string
  messageId?: number | null
}

export interface Persistence {
  addSubscriptions(client: StoredClient, subscriptions: readonly Subscription[], ...rest: unknown[]): Promise<unknown>
  removeSubscriptions(client: StoredClient, filters: readonly string[], ...rest: unknown[]): Promise<unknown>
  subscriptionsByClient(client: StoredClient): Promise<Subscription[]>
  outgoingStream(client: StoredClient): AsyncIterable<QueuedPacket>
  outgoingUpdate(client: StoredClient, packet: QueuedPacket): Promise<unknown>
  outgoingClearMessageId(client: StoredClient, packet: QueuedPacket): Promise<unknown>
  /** Not every persistence has it. */
  cleanIncoming?(client: StoredClient): Promise<unknown>
  streamWill(brokers: Readonly<Record<string, number>>): AsyncIterable<Message>
  delWill(client: StoredClient): Promise<unknown>
}

/** Ends a hook. Called exactly once, by the contract of every hook. */
export type Callback<T = unknown> = (error?: Error | null, value?: T) => void

/** The hooks that `protect` takes over. */
export interface Hooks {
  preConnect(this: Broker, client: BrokerClient, packet: Connect, callback: Callback<boolean>): unknown
  authenticate(
    this: Broker,
    client: BrokerClient,
    username: string | undefined,
    password: Uint8Array | undefined,
    callback: Callback<boolean>,
  ): unknown
  authorizePublish(this: Broker, client: BrokerClient | null, packet: Message, callback: Callback): unknown
  authorizeSubscribe(
    this: Broker,
    client: BrokerClient,
    subscription: Subscription,
    callback: Callback<Subscription | null>,
  ): unknown
  authorizeForward(this: Broker, client: BrokerClient, packet: Message): unknown
}

export interface Broker extends Hooks {
  readonly id: string
  readonly closed: boolean
  readonly maxTopicLevels: number
  /** By client id; without a prototype. */
  readonly clients: Readonly<Record<string, BrokerClient>>
  /** Set by `listen()`. */
  readonly persistence: Persistence | undefined
  publish(packet: Message, client: BrokerClient | null, done: (error?: Error | null) => void): void
  prependListener(event: 'client', listener: (client: BrokerClient) => void): unknown
  on(event: 'clientDisconnect', listener: (client: BrokerClient) => void): unknown
  on(event: 'closed', listener: () => void): unknown
  off(event: 'client' | 'clientDisconnect', listener: (client: BrokerClient) => void): unknown
  off(event: 'closed', listener: () => void): unknown
}

/** Begins the names that belong to the broker. aedes drops its own refusal of them when the hook is replaced. */
export const RESERVED_PREFIX = '$SYS/'
