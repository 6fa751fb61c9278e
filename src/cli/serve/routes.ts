import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Endpoint } from '../../endpoint/index.js'
import type { Metrics } from './metrics.js'

/** A page for operators. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** What the server offers, by the first part of the path. */
export interface Routes {
  readonly endpoints: ReadonlyMap<string, Pick<Endpoint, 'node'>>
  /** By the whole path. */
  readonly pages: ReadonlyMap<string, () => Page | Promise<Page>>
}

const NOT_FOUND: Page = { status: 404, type: 'application/json', body: '{"error":"no such path"}' }
const FAILED: Page = { status: 500, type: 'application/json', body: '{"error":"the page could not be made"}' }
const WRONG_METHOD: Page = { status: 405, type: 'application/json', body: '{"error":"pages are read with GET"}' }

/**
 * Makes the listener of the server. Each endpoint keeps its own gate and limits, and its own way to say that a request
 * cannot be answered: what one broker takes for a refusal lets another one go on and allow.
 */
export function createListener(
  { endpoints, pages }: Routes,
  metrics: Metrics,
): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    const [, path = '', rest = ''] = /^([^?]*)(.*)$/s.exec(req.url ?? '/')!
    const end = path.indexOf('/', 1)
    const name = path.slice(1, end === -1 ? undefined : end)
    const endpoint = endpoints.get(name)
    if (endpoint !== undefined) {
      metrics.time(name, res)
      req.url = (end === -1 ? '/' : path.slice(end)) + rest
      endpoint.node(req, res)
      return
    }
    req.resume()
    const page = pages.get(path)
    if (page === undefined) send(res, NOT_FOUND)
    else if (req.method !== 'GET' && req.method !== 'HEAD') send(res, WRONG_METHOD)
    else void show(res, page)
  }
}

async function show(res: ServerResponse, page: () => Page | Promise<Page>): Promise<void> {
  try {
    send(res, await page())
  } catch {
    send(res, FAILED)
  }
}

function send(res: ServerResponse, { status, type, body }: Page): void {
  res.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  })
  res.end(res.req.method === 'HEAD' ? undefined : body)
}
