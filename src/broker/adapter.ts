import type { Decision } from '../acl/types.js'
import type { Authorizer, RevokeCause } from '../authorizer/types.js'
import type { RefusalReason } from './codes.js'
import { judgeConnect } from './connect.js'
import { type BrokerAdapterOptions, resolveOptions } from './options.js'
import type { ConnectPacket, DisconnectPacket, PublishPacket, SubscribePacket } from './packets.js'
import { judgePublish } from './publish.js'
import { disconnectPacket } from './refusal.js'
import type { BrokerSession } from './session.js'
import { findLost, judgeSubscribe } from './subscribe.js'
import type { ConnectVerdict, Grant, Peer, PublishVerdict, Revocation, SubscribeVerdict } from './verdicts.js'
import { judgeWill } from './will.js'

/**
 * Turns packets into decisions, and decisions into packets. Sends nothing, holds no connection, and keeps nothing but
 * what is in the sessions it makes. Refusals are reported by the authorizer's `denied` event; what a client does
 * against the protocol, or beyond `maxFilters`, is told by the `reason` of the verdict alone.
 */
export interface BrokerAdapter {
  /**
   * Judges a CONNECT: client id, user name, password, and whether the will may be published. On success, add to `send`
   * what the broker has to say (`sessionPresent`, other properties), send it, and in the same turn follow the session
   * with {@link BrokerAdapter.onRevoked}: a DISCONNECT must not come before the CONNACK [MQTT-3.14.0-1]. Packets that
   * arrive meanwhile have to wait. Close the session at once where the connection is gone by then.
   *
   * A client that holds the same client id is not cut here where its account is the same: that is the broker's to do
   * [MQTT-3.1.4-3], with `disconnect(session, 'session_taken_over')`. Of another account, it is revoked or the newcomer
   * refused.
   *
   * A CONNACK refuses with return codes 1, 2, 3, 4 or 5 to MQTT 3.x. Enhanced authentication (MQTT 5, section 4.12) is
   * refused with 0x8C; a client without a client id as the `assignClientId` option says.
   *
   * @param packet CONNECT as it was parsed. The connection has had no other.
   * @returns A promise that rejects only with what `assignClientId` throws.
   */
  connect(packet: ConnectPacket, peer?: Peer): Promise<ConnectVerdict>
  /**
   * Judges a SUBSCRIBE, each of its filters alone: one may be granted and the next refused (0x80 in MQTT 3.x). A rule
   * that rewrites a filter replaces it in `granted`; the SUBACK tells the QoS of the rule. A broker that grants less
   * may lower `granted` and the codes of `send` alike. A packet with more filters than the `maxFilters` option allows is
   * refused as a whole, with the `reason` `quota_exceeded`.
   */
  subscribe(session: BrokerSession, packet: SubscribePacket): SubscribeVerdict
  /**
   * Judges a PUBLISH. Synchronous, so that messages keep their order.
   *
   * - `deliver`: hand `packet` to the subscribers, and `send` (if any) to the publisher. Whoever stores QoS 2 messages
   *   until the PUBREL stores this `packet`.
   * - `drop`: send `send` if there is one. For MQTT 5 it carries the code of the refusal; a PUBREC with one ends the
   *   exchange. For MQTT 3.x it looks like success, and the PUBREL of a QoS 2 message still wants its PUBCOMP.
   * - `disconnect`: send `send` if there is one, and close.
   *
   * Refused, a message of MQTT 5 is dropped, and the PUBACK or PUBREC says why; at QoS 0 see the `onDeniedQos0` option.
   * For MQTT 3.x see `onDeniedPublish`. A session that is over, a packet against the protocol, and a topic alias that
   * is unknown or above the maximum disconnect in any case.
   */
  publish(session: BrokerSession, packet: PublishPacket): PublishVerdict
  /**
   * Decides; sends nothing. Whether a message may be handed to a client. Ask for every message and client at the moment
   * of sending, whatever the way it came: live, retained, queued or shared. Reading `.allow` takes no waiting.
   */
  deliver(session: BrokerSession, packet: Pick<PublishPacket, 'topic'>): Decision
  /**
   * Judges the will of a session by the rules of this moment: call it when the will is to be published. Call it before
   * `session.close()` where that can be; of a session that is closed or revoked, the rules its account has now decide,
   * and an anonymous one has none.
   *
   * Whether and when a will is due (no DISCONNECT with code 0, Will Delay Interval) is for the broker to know.
   *
   * @returns The message to deliver, or `undefined` where there is no will or it is refused. Never rejects.
   */
  will(session: BrokerSession): Promise<PublishPacket | undefined>
  /**
   * Finds the subscriptions that a client may no longer hold: refused by now, or granted with another filter or a lower
   * QoS. Ask in `session.rights.onChange()`, whose promise the writer of the record waits for, and for the stored
   * subscriptions of a client that comes back. What the store cannot tell at the moment is not lost.
   *
   * @param granted What `subscribe` granted and the broker still holds.
   */
  recheck(session: BrokerSession, granted: Iterable<Grant>): Grant[]
  /**
   * Calls `listener` once if the session is revoked, at once where it already is. Send what it is given, and close the
   * connection. For MQTT 5 it is a DISCONNECT: 0x8E where another account took the client id, otherwise 0x87.
   *
   * @param listener Called in the turn of the change. What it throws becomes an `error` event of the authorizer.
   * @returns What takes the listener back.
   */
  onRevoked(session: BrokerSession, listener: (revocation: Revocation) => void): () => void
  /**
   * Gives the DISCONNECT for a connection that the broker closes for a reason of its own: `session_taken_over` (0x8E),
   * `server_shutting_down` (0x8B), `protocol_error` (0x82). `undefined` for MQTT 3.x, where closing is all.
   */
  disconnect(session: BrokerSession, reason: RefusalReason): DisconnectPacket | undefined
}

/**
 * Makes an adapter for a broker written in Node whose packets have the shape of `mqtt-packet`.
 *
 * The adapter knows what MQTT 3.1, 3.1.1 and 5 can say about a refusal, and answers with the packet to send. The broker
 * keeps the connections, subscriptions and messages, and does what the verdicts say. One adapter serves all
 * connections.
 *
 * Publish modifiers `topic`, `payload`, `qos`, `retain` and `properties` are applied, `throttle` with the `throttling`
 * option; a rule with `mountpoint`, or with the property `willDelayInterval`, is refused with `modifiers_unsupported`.
 * A subscribe rule may rewrite a filter into one other; options that it leaves out stay as the client asked.
 *
 * Exported from `mqtt-warden/broker`.
 *
 * @example
 * ```ts
 * const adapter = createBrokerAdapter(authorizer)
 *
 * const verdict = await adapter.connect(packet, { address: socket.remoteAddress })
 * answer(verdict)
 * if (verdict.session !== undefined) adapter.onRevoked(verdict.session, answer)
 *
 * function answer({ send, close }: Answer<Packet | undefined>) {
 *   if (send !== undefined) socket.write(generate(send, { protocolVersion: packet.protocolVersion }))
 *   if (close) socket.end()
 * }
 * ```
 *
 * @throws TypeError for a bad option.
 */
export function createBrokerAdapter(authorizer: Authorizer, options: BrokerAdapterOptions = {}): BrokerAdapter {
  if (typeof authorizer?.authenticate !== 'function') throw new TypeError('"authorizer" must be an authorizer')
  const settings = resolveOptions(options)
  return {
    connect: (packet, peer = {}) => judgeConnect(authorizer, settings, packet, peer),
    subscribe: (session, packet) => judgeSubscribe(settings, session, packet),
    publish: (session, packet) => judgePublish(settings, session, packet),
    deliver: ({ rights }, { topic }) => rights.authorizeReceive(topic),
    will: session => judgeWill(authorizer, settings, session),
    recheck: (session, granted) => findLost(settings, session, granted),
    disconnect: (session, reason) => disconnectPacket(settings, session, reason),
    onRevoked: (session, listener) =>
      session.rights.onRevoked(cause => {
        const send = disconnectPacket(settings, session, reasonOf(cause))
        listener({ send, close: true, cause })
      }),
  }
}

function reasonOf(cause: RevokeCause): RefusalReason {
  return cause === 'client_id_taken' || cause === 'expired' ? cause : 'revoked'
}
