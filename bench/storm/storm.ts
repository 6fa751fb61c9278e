import { performance } from 'node:perf_hooks'
import { CONNACK, type Credentials, RawClient } from '../broker/raw-client.js'

/** What a storm came to. */
export interface Storm {
  /** Seconds from the beginning to each client's login, in order. */
  readonly connectedAt: readonly number[]
  /** Logins that were answered with a refusal, or not at all, and tried again. */
  readonly failures: number
  readonly seconds: number
}

export interface StormOptions {
  readonly port: number
  readonly clients: readonly Credentials[]
  /** After this long it is given up, in milliseconds. */
  readonly limitMs: number
  /** Whether this process is not to sleep meanwhile. */
  readonly isAwake: boolean
}

/** A client that failed comes back after one to two seconds, as client libraries do. */
const RETRY_MS = 1_000

/** Lets all clients connect at once. Resolves when the last is logged in, and every connection is gone again. */
export async function storm({ port, clients, limitMs, isAwake }: StormOptions): Promise<Storm> {
  const startedAt = performance.now()
  const seconds = () => (performance.now() - startedAt) / 1_000
  const connectedAt: number[] = []
  const open = new Set<RawClient>()
  let failures = 0
  let isOver = false
  if (isAwake) keepAwake(() => isOver)
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, limitMs)
    const attempt = (credentials: Credentials, at: number): void => {
      if (isOver) return
      const client = new RawClient(port, credentials)
      open.add(client)
      const fail = () => {
        open.delete(client)
        if (isOver) return
        failures++
        setTimeout(attempt, RETRY_MS * (1 + at / clients.length), credentials, at)
      }
      client.socket.once('close', fail)
      client.onPacket = (kind, chunk, body) => {
        // A refused client is closed by the broker.
        if (kind !== CONNACK || chunk[body + 1] !== 0) return
        client.socket.off('close', fail)
        connectedAt.push(seconds())
        if (connectedAt.length < clients.length) return
        clearTimeout(timer)
        resolve()
      }
    }
    clients.forEach(attempt)
  })
  const took = seconds()
  isOver = true
  await Promise.all([...open].map(hangUp))
  return { connectedAt, failures, seconds: took }
}

/**
 * Has this process look for what arrived again and again: one that sleeps is woken by every CONNACK, at the expense of
 * the broker that sends it and the more often the longer that takes. Clients elsewhere are not woken by the broker.
 */
function keepAwake(isOver: () => boolean): void {
  if (!isOver()) setImmediate(keepAwake, isOver)
}

function hangUp({ socket }: RawClient): Promise<void> | undefined {
  if (socket.closed) return undefined
  return new Promise(resolve => {
    socket.once('close', () => resolve())
    socket.resetAndDestroy()
  })
}
