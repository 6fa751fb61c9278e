import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { CONSUMED, type EndpointCore, NO_ANSWER, TOO_LARGE, TOO_MANY, TOO_SLOW } from './core.js'
import type { EndpointFailure, EndpointRequest, EndpointResponse } from './types.js'

const NOTHING: Uint8Array = new Uint8Array(0)

/** What frameworks add to the request. */
interface MountedRequest extends IncomingMessage {
  readonly body?: unknown
}

/** One request of `node:http`, from its headers to its answer. */
export class NodeExchange implements EndpointRequest {
  readonly method: string
  readonly query: string
  path: string
  body: Uint8Array = NOTHING
  parsed?: unknown
  readonly #core: EndpointCore
  readonly #req: MountedRequest
  readonly #res: ServerResponse
  readonly #chunks: Buffer[] = []
  #size = 0
  #isRead = false
  #isOver = false
  #timer: NodeJS.Timeout | undefined
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
    const approach = { authorization: headers.authorization, hasCertificate: hasCertificate(socket) }
    const passed = this.#core.gate.pass({ path: this.path, ...approach })
    if (typeof passed !== 'string') {
      this.#fail(passed)
    } else if (Number(headers['content-length'] ?? 0) > this.#core.settings.maxBodyBytes) {
      this.#fail(TOO_LARGE)
    } else {
      this.path = passed
      this.#timer = setTimeout(() => this.#expire(), this.#core.settings.timeoutMs)
      this.#res.once('close', () => this.#end())
      if (this.#req.readableEnded) this.#adopt()
      else this.#read()
    }
  }

  #read(): void {
    const req = this.#req
    req.on('data', (chunk: Buffer) => this.#take(chunk))
    req.once('end', () => void this.#dispatch())
    // The close of the response, which follows, ends the exchange.
    req.once('error', () => {})
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
    void this.#dispatch()
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return
    if (this.#size + chunk.length > this.#core.settings.maxBodyBytes) {
      this.#fail(TOO_LARGE)
    } else if (!this.#core.hold(chunk.length)) {
      this.#fail(TOO_MANY)
    } else {
      this.#size += chunk.length
      this.#chunks.push(chunk)
    }
  }

  async #dispatch(): Promise<void> {
    if (this.#isOver || this.#isRead) return
    this.#isRead = true
    if (this.#chunks.length > 0) this.body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    const response = await this.#core.answer(this)
    if (!this.#isOver) this.#send(response, false)
  }

  #expire(): void {
    if (this.#isRead) this.#core.report(new Error(NO_ANSWER.problem), 'endpoint')
    this.#fail(this.#isRead ? NO_ANSWER : TOO_SLOW)
  }

  /** Answers without asking the adapter, and closes: what follows on the connection may be the rest of a body. */
  #fail(failure: EndpointFailure): void {
    this.#send(this.#core.fail(failure), !this.#req.readableEnded)
  }

  #send({ status, headers, body }: EndpointResponse, mustClose: boolean): void {
    const res = this.#res
    this.#end()
    if (res.headersSent || res.destroyed) return
    const length = Buffer.byteLength(body)
    try {
      if (mustClose || this.#server?.listening === false) {
        res.writeHead(status, { ...headers, 'content-length': length, connection: 'close' })
      } else {
        this.#keepOpen()
        res.writeHead(status, { ...headers, 'content-length': length })
      }
      res.end(body)
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
  #keepOpen(): void {
    const { keepAliveMs } = this.#core.settings
    const { socket } = this.#req
    const serverMs = this.#server?.keepAliveTimeout
    if (serverMs === undefined || serverMs === 0 || serverMs >= keepAliveMs) return
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
    clearTimeout(this.#timer)
    this.#core.release(this.#size)
    this.#chunks.length = 0
    if (!this.#res.writableFinished) this.#controller?.abort()
  }
}

/** Whether the peer has shown a certificate that the server accepts. */
function hasCertificate(socket: Socket & Partial<Pick<TLSSocket, 'authorized' | 'getPeerX509Certificate'>>): boolean {
  // Node calls a resumed TLS 1.3 session authorised although its client never showed a certificate.
  return socket.authorized === true && socket.getPeerX509Certificate?.() !== undefined
}
