import { type EndpointRequest, type ReadBody, readJson, readText } from '../endpoint/index.js'
import { HookRequestInvalid, quote } from '../errors.js'
import type { Caller } from './judge.js'

/** Each is decided by itself, and nothing else is meanwhile. */
const MAX_JOINED = 10_000

const FORM = /^application\/x-www-form-urlencoded\b/i

/**
 * The fields of a request: of its body, a form or else JSON, or of its query where there is no body. Brokers send JSON
 * with any method, and forget to name its type.
 */
export function readFields(request: EndpointRequest): ReadBody<unknown> {
  if (request.body.length === 0 && request.parsed === undefined) return parseForm(request.query)
  if (request.parsed !== undefined || !FORM.test(request.header('content-type') ?? '')) return readJson(request)
  const text = readText(request)
  return 'problem' in text ? text : parseForm(text.value)
}

/**
 * A form or query, to the letter: a field given twice, which is what a client causes whose user name holds an `&` that
 * the broker did not escape, is as little accepted as bytes that are not UTF-8.
 */
function parseForm(text: string): ReadBody<unknown> {
  const fields: Record<string, string> = Object.create(null)
  try {
    for (const pair of text.split('&')) {
      if (pair === '') continue
      const [name, value] = /^([^=]*)=?(.*)$/s.exec(pair)!.slice(1).map(decode) as [string, string]
      if (name in fields) return { problem: `field ${quote(name)} is given twice` }
      fields[name] = value
    }
  } catch {
    return { problem: 'a field is not percent-encoded UTF-8' }
  }
  return { value: fields }
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/**
 * The fields of one call, each checked as it is taken.
 *
 * Fields that nobody asks for are ignored: brokers send more than is needed, and later versions more still.
 */
export class Fields {
  readonly #hook: string
  readonly #values: object

  /** @throws HookRequestInvalid (`ERR_HOOK_REQUEST_INVALID`), as all that follows, when there are no fields. */
  constructor(hook: string, values: unknown) {
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      throw new HookRequestInvalid(hook, '', 'must be an object')
    }
    this.#hook = hook
    this.#values = values
  }

  text(name: string): string {
    const value = this.optionalText(name)
    return value ?? this.#refuse(name, 'must be a string')
  }

  optionalText(name: string): string | undefined {
    const value = this.#get(name)
    return value === undefined || typeof value === 'string' ? value : this.#refuse(name, 'must be a string')
  }

  /** Texts that the broker has joined with commas. */
  joined(name: string): readonly string[] {
    const parts = this.text(name).split(',')
    return parts.length <= MAX_JOINED ? parts : this.#refuse(name, `must have at most ${MAX_JOINED} filters`)
  }

  /** One of a few values: by its text, so that a form can say what JSON says with a number or a flag. */
  choice<T>(name: string, choices: Readonly<Record<string, T>>): T {
    return this.optionalChoice(name, choices) ?? this.#refuse(name, `must be one of ${Object.keys(choices).join(', ')}`)
  }

  optionalChoice<T>(name: string, choices: Readonly<Record<string, T>>): T | undefined {
    const value = this.#get(name)
    if (value === undefined) return undefined
    const isScalar = ['string', 'number', 'boolean'].includes(typeof value)
    const text = String(isScalar ? value : undefined)
    if (Object.hasOwn(choices, text)) return choices[text]
    return this.#refuse(name, `must be one of ${Object.keys(choices).join(', ')}`)
  }

  /** A field left out, and JSON's null, are the same. */
  #get(name: string): unknown {
    if (!Object.hasOwn(this.#values, name)) return undefined
    return (this.#values as Record<string, unknown>)[name] ?? undefined
  }

  #refuse(name: string, problem: string): never {
    throw new HookRequestInvalid(this.#hook, name, problem)
  }
}

/** Who a call is about, of a broker whose operator chooses the names of the fields. */
export function readCaller(
  fields: Fields,
  names: Readonly<Record<'clientId' | 'username' | 'address', string>>,
  mountpoint: string,
): Caller {
  return {
    mountpoint,
    clientId: fields.text(names.clientId),
    username: fields.optionalText(names.username) ?? '',
    address: fields.optionalText(names.address),
  }
}
