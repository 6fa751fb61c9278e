import { connect, type Socket } from 'node:net'
import { generate } from 'mqtt-packet'

/** Kind of an MQTT packet, from the upper half of its first byte. */
export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const SUBACK = 9
export const PINGRESP = 13

export interface Credentials {
  readonly clientId: string
  readonly username?: string
  readonly password?: string
  /** Seconds. */
  readonly keepalive?: number
}

/** A packet within a chunk: its kind, and where what follows the fixed header begins. */
type PacketListener = (kind: number, chunk: Buffer, body: number) => void

/**
 * An MQTT client that knows no more than the benches need: what it sends was encoded before, and of what it receives only
 * the borders of packets are looked for. So the load costs little beside the broker.
 */
export class RawClient {
  readonly socket: Socket
  #rest: Buffer | undefined
  onPacket: PacketListener = () => {}

  constructor(port: number, credentials: Credentials) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.write(connectPacket(credentials))
    this.socket.on('data', chunk => this.#read(chunk))
    // What becomes of the connection is told by `close`.
    this.socket.on('error', () => {})
  }

  /** Resolves with the body of the next packet of this kind. */
  next(kind: number): Promise<Buffer> {
    const { onPacket } = this
    return new Promise((resolve, reject) => {
      const lost = () => reject(new Error('the broker has closed the connection'))
      this.socket.once('close', lost)
      this.onPacket = (seen, chunk, body) => {
        if (seen !== kind) return
        this.socket.off('close', lost)
        this.onPacket = onPacket
        resolve(chunk.subarray(body))
      }
    })
  }

  #read(chunk: Buffer): void {
    let buffer = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    for (;;) {
      const border = borderOf(buffer)
      if (border === undefined) break
      this.onPacket(buffer[0]! >> 4, buffer, border.body)
      buffer = buffer.subarray(border.end)
    }
    this.#rest = buffer.length > 0 ? buffer : undefined
  }
}

/** Where the body of the first packet begins and ends; `undefined` while it is not complete. */
function borderOf(buffer: Buffer): { body: number; end: number } | undefined {
  let length = 0
  for (let at = 1; at < buffer.length; at++) {
    const byte = buffer[at]!
    length += (byte & 0x7f) << (7 * (at - 1))
    if (byte < 0x80) return at + 1 + length <= buffer.length ? { body: at + 1, end: at + 1 + length } : undefined
  }
  return undefined
}

function connectPacket({ keepalive = 0, ...rest }: Credentials): Buffer {
  const { password, ...names } = rest
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive,
    ...names,
    ...(password !== undefined && { password: Buffer.from(password) }),
  })
}
