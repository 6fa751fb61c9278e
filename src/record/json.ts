import { RecordInvalid } from '../errors.js'
import { MAX_DEPTH, type Place, pathOf, tooLarge } from './place.js'
import type { JsonValue } from './types.js'

// Declared here because no library of the neutral build knows it, while every platform has it.
declare const TextDecoder: new (
  label: 'utf-8',
  options: { fatal: boolean; ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string }

/** Length of a text in UTF-8; an unpaired surrogate counts as the three bytes of U+FFFD that would replace it. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 0x800) bytes += 2
    else if (code >= 0x80) bytes++
    // A pair of surrogates is four bytes together, not three each.
    if (code >= 0xdc00 && code < 0xe000 && at > 0 && isHighSurrogate(text.charCodeAt(at - 1))) bytes -= 2
  }
  return bytes
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00
}

/**
 * Makes text of a stored value, its size checked first.
 *
 * With `lenient`, a byte order mark is dropped and bytes that are not UTF-8 become U+FFFD, as in VerneMQ.
 *
 * @throws RecordInvalid when it is too large or, unless `lenient`, not UTF-8.
 */
export function decodeValue(value: string | Uint8Array, maxBytes: number, lenient: boolean): string {
  if (typeof value === 'string') {
    if (value.length * 3 > maxBytes && (value.length > maxBytes || utf8Length(value) > maxBytes)) {
      throw new RecordInvalid('', tooLarge(maxBytes))
    }
    if (lenient) return value.startsWith('\ufeff') ? value.slice(1) : value
    if (!value.isWellFormed()) throw new RecordInvalid('', 'is not UTF-8: it holds an unpaired surrogate')
    return value
  }
  if (!ArrayBuffer.isView(value)) throw new TypeError('"value" must be a string or a Uint8Array')
  if (value.byteLength > maxBytes) throw new RecordInvalid('', tooLarge(maxBytes))
  try {
    return new TextDecoder('utf-8', { fatal: !lenient, ignoreBOM: !lenient }).decode(value)
  } catch (cause) {
    throw new RecordInvalid('', 'is not UTF-8', { cause })
  }
}

/**
 * Parses JSON whose nesting is bounded and, if asked for, whose objects name each member once.
 *
 * @throws RecordInvalid. What the parser says is left out: it quotes the text, and the text holds a password hash.
 */
export function parseJson(text: string, uniqueNames: boolean): unknown {
  scanJson(text, uniqueNames)
  try {
    return JSON.parse(text)
  } catch {
    throw new RecordInvalid('', 'is not JSON')
  }
}

interface Frame {
  /** Names seen so far; an array has none. */
  readonly names: Set<string> | undefined
  step: string | number
}

/**
 * Looks through JSON text for what a parser would swallow or choke on. Text that is not JSON passes or fails by chance:
 * the parser, which comes next, refuses it in any case.
 */
function scanJson(text: string, uniqueNames: boolean): void {
  const stack: Frame[] = []
  let top: Frame | undefined
  let nameNext = false
  const fail = (problem: string): never => {
    throw new RecordInvalid(pathOf(stack.map(({ step }) => step)), problem)
  }
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      const end = endOfString(text, at)
      if (nameNext && top?.names !== undefined) {
        top.step = unescapeName(text.slice(at, end + 1))
        if (uniqueNames && top.names.has(top.step)) fail('duplicate member')
        top.names.add(top.step)
        nameNext = false
      }
      at = end
    } else if (code === 0x7b || code === 0x5b) {
      if (stack.length === MAX_DEPTH) fail(`is nested deeper than ${MAX_DEPTH} levels`)
      nameNext = code === 0x7b
      top = nameNext ? { names: new Set(), step: '' } : { names: undefined, step: 0 }
      stack.push(top)
    } else if (code === 0x7d || code === 0x5d) {
      stack.pop()
      top = stack.at(-1)
    } else if (code === 0x2c && top !== undefined) {
      nameNext = top.names !== undefined
      if (typeof top.step === 'number') top.step++
    }
  }
}

/** Index of the quote that ends the string begun at `start`, or of the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) return at
  }
  return text.length
}

/** Two spellings of one name (`a` and `\u0061`) are the same member. */
function unescapeName(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1)
  try {
    return String(JSON.parse(literal))
  } catch {
    return literal
  }
}

/**
 * Copies a value that JSON can hold, frozen through and through. `__proto__` is a member like any other.
 *
 * @param depth Nesting of the value itself, the record being 1.
 */
export function copyJson(value: unknown, at: Place, depth: number): JsonValue {
  at.reading.take(1, at)
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'string') {
    at.reading.take(value.length, at)
    return value
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) at.fail('is a number out of range')
    return value + 0 // JSON has no way back to -0.
  }
  if (typeof value !== 'object') return at.fail('is no value of JSON')
  if (depth > MAX_DEPTH) return at.fail(`is nested deeper than ${MAX_DEPTH} levels`)
  return Array.isArray(value) ? copyArray(value, at, depth) : copyObject(value, at, depth)
}

function copyArray(value: readonly unknown[], at: Place, depth: number): JsonValue {
  const { length } = value
  at.reading.take(length, at)
  const copy: JsonValue[] = []
  for (let index = 0; index < length; index++) copy.push(copyJson(value[index], at.at(index), depth + 1))
  return Object.freeze(copy)
}

function copyObject(value: object, at: Place, depth: number): JsonValue {
  const prototype: unknown = Object.getPrototypeOf(value)
  // One step up the chain at most: `Object.prototype` of any realm, or none.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) at.fail('is no plain object')
  const members: [string, JsonValue][] = []
  for (const name of Object.keys(value)) {
    at.reading.take(name.length + 1, at)
    const member: unknown = (value as Record<string, unknown>)[name]
    if (member !== undefined) members.push([name, copyJson(member, at.at(name), depth + 1)])
  }
  return Object.freeze(Object.fromEntries(members))
}
