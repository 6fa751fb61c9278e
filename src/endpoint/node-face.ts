import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ACCESS, CONSUMED, type EndpointCore, NO_ANSWER, TOO_LARGE, TOO_MANY, TOO_SLOW } from './core.js'
import type { Timed } from './deadlines.js'
import type { EndpointFailure, EndpointRequest, EndpointResponse } from './types.js'

const NOTHING: Uint8Array = new Uint8Array(0)

/** What frameworks add to the request. */
interface MountedRequest extends IncomingMessage {
  readonly body?: unknown
}

/** One request of `node:http`, from its headers to its answer. */
export class NodeExchange implements EndpointRequest, Timed {
  readonly method: string
  readonly query: string
  path: string
  body: Uint8Array = NOTHING
  parsed?: unknown
  expiresAt = 0
  before: Timed | undefined
  behind: Timed | undefined
  readonly #core: EndpointCore
  readonly #req: MountedRequest
  readonly #res: ServerResponse
  /** The body as far as it came, if it came in several parts. */
  #chunks: Buffer[] | undefined
  #size = 0
  #isRead = false
  #isOver = false
  #controller: AbortController | undefined

  constructor(core: EndpointCore, req: IncomingMessage, res: ServerResponse) {
    this.#core = core
    this.#req = req
    this.#res = res
    const url = req.url ?? '/'
    const mark = url.indexOf('?')
    this.method = req.method ?? 'GET'
    this.path = mark === -1 ? url : url.slice(0, mark)
    this.query = mark === -1 ? '' : url.slice(mark + 1)
  }

  get address(): string | undefined {
    return this.#req.socket.remoteAddress
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isOver) this.#controller.abort()
    return this.#controller.signal
  }

  header(name: string): string | undefined {
    const value = this.#req.headers[name]
    return typeof value === 'string' ? value : value?.[0]
  }

  run(): void {
    const { headers, socket } = this.#req
    const { authorization } = headers
    const passed = this.#core.gate.pass({ path: this.path, authorization, hasCertificate: hasCertificate(socket) })
    if (typeof passed !== 'string') {
      this.#fail(passed, ACCESS)
    } else if (Number(headers['content-length'] ?? 0) > this.#core.settings.maxBodyBytes) {
      this.#fail(TOO_LARGE)
    } else {
      this.path = passed
      this.#core.deadlines.start(this)
      if (this.#req.readableEnded) this.#adopt()
      else this.#read()
    }
  }

  expire(): void {
    this.#fail(this.#isRead ? NO_ANSWER : TOO_SLOW)
  }

  #read(): void {
    const req = this.#req
    req.on('data', (chunk: Buffer) => this.#take(chunk))
    req.on('end', () => this.#dispatch())
    // Also when the caller hangs up.
    req.on('error', () => this.#end())
  }

  /** Somebody in front has read the body. */
  #adopt(): void {
    const { body } = this.#req
    if (body === undefined) {
      this.#fail(CONSUMED)
      return
    }
    if (body instanceof Uint8Array) this.body = body
    else this.parsed = body
    this.#dispatch()
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return
    if (this.#size + chunk.length > this.#core.settings.maxBodyBytes) {
      this.#fail(TOO_LARGE)
    } else if (!this.#core.hold(chunk.length)) {
      this.#fail(TOO_MANY)
    } else {
      if (this.#size === 0) this.body = chunk
      else if (this.#chunks === undefined) this.#chunks = [this.body as Buffer, chunk]
      else this.#chunks.push(chunk)
      this.#size += chunk.length
    }
  }

  #dispatch(): void {
    if (this.#isOver || this.#isRead) return
    this.#isRead = true
    if (this.#chunks !== undefined) this.body = Buffer.concat(this.#chunks)
    const response = this.#core.answer(this)
    if (response instanceof Promise) void this.#await(response)
    else this.#send(response, false)
  }

  async #await(response: Promise<EndpointResponse>): Promise<void> {
    this.#res.on('close', () => this.#end())
    const late = await response
    if (!this.#isOver) this.#send(late, false)
  }

  /** Answers without asking the adapter, and closes: what follows on the connection may be the rest of a body. */
  #fail(failure: EndpointFailure, place?: string): void {
    this.#send(this.#core.refuse(failure, place), !this.#req.readableEnded)
  }

  #send({ status, headers, body }: EndpointResponse, mustClose: boolean): void {
    const res = this.#res
    this.#end()
    if (res.headersSent || res.destroyed) return
    const lines = ['content-length', `${Buffer.byteLength(body)}`]
    for (const name of Object.keys(headers)) lines.push(name, headers[name]!)
    try {
      const server = this.#server
      if (mustClose || server?.listening === false) lines.push('connection', 'close')
      else this.#keepOpen(server)
      res.writeHead(status, lines)
      write(res, body)
    } catch (error) {
      this.#core.report(error, 'endpoint response')
      res.destroy()
    }
  }

  /** The server that accepted the connection, where there is one. */
  get #server(): Server | undefined {
    return (this.#req.socket as Socket & { readonly server?: Server }).server
  }

  /** Sees to it that the connection outlives the pool of the broker, whatever the server it is mounted in does. */
  #keepOpen(server: Server | undefined): void {
    const { keepAliveMs } = this.#core.settings
    const serverMs = server?.keepAliveTimeout
    if (serverMs === undefined || serverMs === 0 || serverMs >= keepAliveMs) return
    const { socket } = this.#req
    // Node sets its own time-out in a listener of the same event that was there first.
    this.#res.once('finish', () => {
      if (!socket.destroyed) socket.setTimeout(keepAliveMs)
    })
    this.#res.setHeader('keep-alive', `timeout=${Math.floor(keepAliveMs / 1_000)}`)
  }

  /** The answer is decided, or the caller is gone: nothing more comes of the request. */
  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#core.deadlines.stop(this)
    this.#core.release(this.#size)
    // A connection that is kept open holds its last request.
    this.body = NOTHING
    this.#chunks = undefined
    if (!this.#res.writableFinished) this.#controller?.abort()
  }
}

/**
 * Ends a response of one piece. `end(body)` has the socket write two, the second empty, by a slower way: a tenth of
 * what a small request costs.
 */
function write(res: ServerResponse, body: string): void {
  const { socket } = res
  // A response that waits for an earlier one of its connection has no socket yet.
  if (!socket || body === '') {
    res.end(body)
    return
  }
  // Or `write` would hold the socket back until the end of the turn.
  socket.cork()
  res.write(body)
  socket.uncork()
  res.end()
}

/** Whether the peer has shown a certificate that the server accepts. */
function hasCertificate(socket: Socket & Partial<Pick<TLSSocket, 'authorized' | 'getPeerX509Certificate'>>): boolean {
  // Node calls a resumed TLS 1.3 session authorised although its client never showed a certificate.
  return socket.authorized === true && socket.getPeerX509Certificate?.() !== undefined
}
