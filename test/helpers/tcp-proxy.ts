import { createServer, connect as dial, type Server, type Socket } from 'node:net'

/** Which way bytes flow: from the client to the server, or back. */
export type Direction = 'up' | 'down'

/** A line between client and server that can be made to fail. It behaves as a network does towards real sockets. */
export interface TcpProxy {
  readonly port: number
  /** Connections open now, on the client's side. */
  readonly connections: number
  /** Ends all connections, with a reset. New ones are taken. */
  cut(): void
  /** Refuses new connections, or takes them again. */
  refuse(refused: boolean): void
  /**
   * Lets nothing through, and no end of a connection either: both sides still believe in it. New connections are taken
   * and hear nothing. What is sent meanwhile is delivered by `resume`, unless its sender has reset the connection.
   */
  freeze(): void
  resume(): void
  /** What `resume` would deliver now in one direction. */
  held(direction: Direction): Buffer
  /** Holds everything back for a time. */
  delay(ms: number): void
  /** Throws away what flows in one direction; `undefined` ends it. */
  drop(direction: Direction | undefined): void
  /** Shows what arrives from one side, before it is passed on. */
  watch(direction: Direction, listener: (chunk: Buffer) => void): void
  /** Sends something of its own to the server, on every connection, and keeps the answer from the client. */
  inject(request: string, answer: string): void
  /** Leads new connections to another port. */
  retarget(port: number): void
  close(): Promise<void>
}

interface Faults {
  frozen: boolean
  refused: boolean
  delayMs: number
  dropped: Direction | undefined
  watched: { readonly direction: Direction; readonly listener: (chunk: Buffer) => void } | undefined
}

/** One way of one connection: a queue, so that order is kept whatever the delay. */
class Flow {
  readonly #to: Socket
  readonly direction: Direction
  readonly #faults: Faults
  readonly #held: { readonly chunk: Buffer | undefined; readonly dueAt: number }[] = []
  #kept = ''

  constructor(from: Socket, to: Socket, direction: Direction, faults: Faults) {
    this.#to = to
    this.direction = direction
    this.#faults = faults
    from.on('data', chunk => {
      if (faults.watched?.direction === direction) faults.watched.listener(chunk)
      this.#take(this.#without(chunk))
    })
    from.on('end', () => this.#take(undefined))
    // A reset makes the sender's system forget what was not delivered yet; a plain end does not.
    from.on('error', () => {
      this.#held.length = 0
      if (this.#faults.frozen) this.#held.push({ chunk: undefined, dueAt: 0 })
      else this.#to.resetAndDestroy()
    })
    to.on('error', () => {})
  }

  get held(): Buffer {
    return Buffer.concat(this.#held.map(({ chunk }) => chunk ?? Buffer.alloc(0)))
  }

  /** Sends something that did not come from the other side. */
  inject(request: string): void {
    this.#to.write(request)
  }

  /** Leaves out the next answer that reads like this. */
  keep(answer: string): void {
    this.#kept = answer
  }

  flush(): void {
    while (!this.#faults.frozen && this.#held.length > 0) {
      const { chunk, dueAt } = this.#held[0]!
      const waitMs = dueAt - performance.now()
      if (waitMs > 0) {
        setTimeout(() => this.flush(), waitMs)
        return
      }
      this.#held.shift()
      if (chunk === undefined) this.#to.end()
      else if (this.#faults.dropped !== this.direction) this.#to.write(chunk)
    }
  }

  #without(chunk: Buffer): Buffer {
    const at = this.#kept === '' ? -1 : chunk.indexOf(this.#kept)
    if (at < 0) return chunk
    const end = at + this.#kept.length
    this.#kept = ''
    return Buffer.concat([chunk.subarray(0, at), chunk.subarray(end)])
  }

  #take(chunk: Buffer | undefined): void {
    this.#held.push({ chunk, dueAt: performance.now() + this.#faults.delayMs })
    this.flush()
  }
}

/** Listens on a free port of 127.0.0.1 and passes everything on to `targetPort`. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const faults: Faults = { frozen: false, refused: false, delayMs: 0, dropped: undefined, watched: undefined }
  const flows = new Set<Flow>()
  const sockets = new Set<Socket>()
  let target = targetPort
  let clients = 0
  const server: Server = createServer({ allowHalfOpen: true }, client => {
    if (faults.refused) {
      client.resetAndDestroy()
      return
    }
    const upstream = dial({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    const pair = [new Flow(client, upstream, 'up', faults), new Flow(upstream, client, 'down', faults)]
    for (const flow of pair) flows.add(flow)
    clients++
    client.once('close', () => clients--)
    let open = 2
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.once('close', () => {
        sockets.delete(socket)
        if (--open === 0) for (const flow of pair) flows.delete(flow)
      })
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    get connections() {
      return clients
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    refuse(refused) {
      faults.refused = refused
    },
    freeze() {
      faults.frozen = true
    },
    resume() {
      faults.frozen = false
      for (const flow of flows) flow.flush()
    },
    held(direction) {
      return Buffer.concat([...flows].filter(flow => flow.direction === direction).map(flow => flow.held))
    },
    delay(ms) {
      faults.delayMs = ms
    },
    drop(direction) {
      faults.dropped = direction
    },
    watch(direction, listener) {
      faults.watched = { direction, listener }
    },
    inject(request, answer) {
      for (const flow of flows) {
        if (flow.direction === 'up') flow.inject(request)
        else flow.keep(answer)
      }
    },
    retarget(port) {
      target = port
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
