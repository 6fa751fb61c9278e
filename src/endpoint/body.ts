import { isUtf8 } from 'node:buffer'
import type { EndpointRequest } from './types.js'

/** A body that was understood, or what is wrong with it. */
export type ReadBody<T> = { readonly value: T } | { readonly problem: string }

/** The body as text. Bytes that are not UTF-8 are a problem, never replaced. */
export function readText({ body, parsed }: EndpointRequest): ReadBody<string> {
  if (typeof parsed === 'string') return { value: parsed }
  if (parsed !== undefined) return { problem: 'body was parsed already' }
  const bytes = body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const value = bytes.toString('utf8')
  // Bytes that are not UTF-8 leave a trace, which may also have been sent.
  return value.includes('\ufffd') && !isUtf8(bytes) ? { problem: 'body is not UTF-8' } : { value }
}

/** The body as JSON, or what a framework in front has already made of it. Its content type is not looked at. */
export function readJson(request: EndpointRequest): ReadBody<unknown> {
  if (request.parsed !== undefined && typeof request.parsed !== 'string') return { value: request.parsed }
  const text = readText(request)
  if ('problem' in text) return text
  try {
    return { value: JSON.parse(text.value) }
  } catch {
    // The parser's message repeats what was sent.
    return { problem: 'body is not JSON' }
  }
}

/** The body as a form (`application/x-www-form-urlencoded`); of a name given twice the first value counts. */
export function readForm(request: EndpointRequest): ReadBody<Readonly<Record<string, string>>> {
  const { parsed } = request
  if (typeof parsed === 'object' && parsed !== null) {
    const fields = Object.entries(parsed).filter((field): field is [string, string] => typeof field[1] === 'string')
    return { value: fromEntries(fields) }
  }
  const text = readText(request)
  return 'problem' in text ? text : { value: parseQuery(text.value) }
}

/** The fields of a query string or form. */
export function parseQuery(query: string): Readonly<Record<string, string>> {
  return fromEntries([...new URLSearchParams(query)].reverse())
}

/** Without a prototype, so that no name finds anything that was not sent. */
function fromEntries(fields: Iterable<readonly [string, string]>): Readonly<Record<string, string>> {
  const record: Record<string, string> = Object.create(null)
  for (const [name, value] of fields) record[name] = value
  return record
}
