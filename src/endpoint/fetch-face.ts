import { ACCESS, CONSUMED, type EndpointCore, NO_ANSWER, TOO_LARGE, TOO_MANY, TOO_SLOW } from './core.js'
import type { EndpointFailure, EndpointRequest, EndpointResponse } from './types.js'

/** How far a request has come. */
interface Held {
  bytes: number
  isRead: boolean
  isOver: boolean
}

/** Answers one web-standard request. Never rejects. */
export async function fetchFace(core: EndpointCore, request: Request): Promise<Response> {
  const response = await answer(core, request)
  try {
    return made(response)
  } catch (error) {
    core.report(error, 'endpoint response')
    return new Response(null, { status: 500 })
  }
}

function made({ status, headers, body }: EndpointResponse): Response {
  // A status such as 204 must not have a body, not even an empty one.
  return new Response(body === '' ? null : body, { status, headers: { ...headers } })
}

async function answer(core: EndpointCore, request: Request): Promise<EndpointResponse> {
  const url = new URL(request.url)
  const authorization = request.headers.get('authorization') ?? undefined
  const path = core.gate.pass({ path: url.pathname, authorization, hasCertificate: false })
  if (typeof path !== 'string') return core.refuse(path, ACCESS)
  const controller = new AbortController()
  const hangUp = () => controller.abort()
  if (request.signal.aborted) hangUp()
  request.signal.addEventListener('abort', hangUp, { once: true })
  const held: Held = { bytes: 0, isRead: false, isOver: false }
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<EndpointResponse>(resolve => {
    timer = setTimeout(() => {
      resolve(core.refuse(held.isRead ? NO_ANSWER : TOO_SLOW))
      hangUp()
    }, core.settings.timeoutMs)
  })
  const dispatch = async () => {
    const body = await readBody(core, request, held, controller.signal)
    // Of a body that was cut off, by the caller or by the time, nobody has to hear.
    if ('status' in body) return controller.signal.aborted ? core.fail(body) : core.refuse(body)
    held.isRead = true
    return core.answer(new FetchedRequest(request, { path, query: url.search.slice(1) }, body, controller.signal))
  }
  try {
    return await Promise.race([dispatch(), expired])
  } finally {
    clearTimeout(timer)
    request.signal.removeEventListener('abort', hangUp)
    held.isOver = true
    core.release(held.bytes)
  }
}

class FetchedRequest implements EndpointRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly body: Uint8Array
  readonly address: undefined
  readonly signal: AbortSignal
  readonly #headers: Headers

  constructor(
    request: Request,
    { path, query }: { path: string; query: string },
    body: Uint8Array,
    signal: AbortSignal,
  ) {
    this.method = request.method
    this.path = path
    this.query = query
    this.body = body
    this.signal = signal
    this.#headers = request.headers
  }

  header(name: string): string | undefined {
    return this.#headers.get(name) ?? undefined
  }
}

async function readBody(
  core: EndpointCore,
  request: Request,
  held: Held,
  signal: AbortSignal,
): Promise<Uint8Array | EndpointFailure> {
  if (request.bodyUsed || request.body?.locked) return CONSUMED
  if (Number(request.headers.get('content-length') ?? 0) > core.settings.maxBodyBytes) return TOO_LARGE
  if (request.body === null) return new Uint8Array(0)
  const reader = request.body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel, { once: true })
  const chunks: Uint8Array[] = []
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (held.isOver) return TOO_SLOW
      const { byteLength } = part.value
      const failure = held.bytes + byteLength > core.settings.maxBodyBytes ? TOO_LARGE : TOO_MANY
      if (failure === TOO_LARGE || !core.hold(byteLength)) {
        cancel()
        return failure
      }
      held.bytes += byteLength
      chunks.push(part.value)
    }
    // Cancelling ends the body as though it were whole.
    return signal.aborted ? TOO_SLOW : Buffer.concat(chunks)
  } catch {
    return CONSUMED
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
