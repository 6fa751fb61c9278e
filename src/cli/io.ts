import { createReadStream } from 'node:fs'
import type { Semantics } from '../acl/types.js'
import { RecordInvalid } from '../errors.js'
import { parseRecord } from '../record/parse.js'
import type { AclRecord } from '../record/types.js'

/** Ends a command with an exit code; the message goes to standard error. */
export class CliFault extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.fault) {
    super(message)
    this.exitCode = exitCode
  }
}

/** What the exit codes of every command mean. */
export const EXIT = { allowed: 0, refused: 1, fault: 2, unconfirmed: 3, notDurable: 4, interrupted: 130 } as const

/** Most that is read from a file or a pipe, in bytes. */
const MAX_INPUT = 2 * 1024 * 1024

let whenLost = (error: NodeJS.ErrnoException): void => {
  // Whoever reads the output may stop early, as `head` does.
  if (error.code === 'EPIPE') process.exit()
  warnLine(`standard output: ${error.message}`)
  process.exit(EXIT.fault)
}

/** Ends the process when its output has nowhere to go, unless it was told to outlive that. */
export function watchOutput(): void {
  process.stdout.on('error', error => whenLost(error))
}

/** Lets the process go on without standard output, and say so once on standard error. */
export function outliveOutput(): void {
  process.stderr.on('error', () => {})
  whenLost = error => {
    whenLost = () => {}
    warnLine(`standard output: ${error.message}; nothing is logged from here on`)
  }
}

export function printLine(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}

export function warnLine(line: string): void {
  process.stderr.write(`mqtt-warden: ${printable(line)}\n`)
}

/** Milliseconds, for people. */
export function inSeconds(ms: number): string {
  return `${Math.ceil(ms / 1_000)} s`
}

/** A moment for people, in UTC to the second; `undefined` for one that no calendar has. */
export function inUtc(ms: number): string | undefined {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace(/\.\d+Z$/, 'Z')
}

/** Prints rows of text in columns, as wide as they need be. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(cells => cells[column]!.length)))
  for (const cells of rows) {
    const padded = cells.map((cell, column) => cell.padEnd(widths[column]!))
    printLine(padded.join('  ').trimEnd())
  }
}

/**
 * Text that gives no orders to a terminal, however it came to be in a record or an answer. As JSON it means the same:
 * there these characters stand in strings alone.
 */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, char => {
    return char === '\n' || char === '\t' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** Reads a password: from a prompt that hides it where there is a terminal, otherwise all of standard input. */
export async function readPassword({ confirm }: { confirm: boolean }): Promise<string> {
  if (!process.stdin.isTTY) {
    // `echo` ends its line; a password that ends in a line break itself has to come with one more.
    return decodePiped(await readAll(process.stdin, 'standard input')).replace(/\r?\n$/, '')
  }
  const first = await ask('Password')
  if (confirm && (await ask('The same again')) !== first) throw new CliFault('the passwords differ')
  return first
}

/** Byte for byte what was piped: another text would have another hash, one that nobody can log in with. */
function decodePiped(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new CliFault('the password is not UTF-8')
  }
}

async function ask(message: string): Promise<string> {
  // Loaded here, so that whoever is not asked need not wait for it.
  const { isCancel, password: promptPassword } = await import('@clack/prompts')
  // On standard error, so that standard output holds nothing but the result.
  const answer = await promptPassword({ message, output: process.stderr })
  if (isCancel(answer)) throw new CliFault('cancelled', EXIT.interrupted)
  return answer ?? ''
}

async function readAll(input: NodeJS.ReadableStream, name: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_INPUT) throw new CliFault(`${name}: larger than ${MAX_INPUT} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Reads a file, or standard input for `-`: the bytes, so that they are judged as those in a store are. */
async function readInput(path: string): Promise<Buffer> {
  if (path === '-' && process.stdin.isTTY) throw new CliFault('no record: name a file, pipe one in, or use --redis')
  const name = path === '-' ? 'standard input' : path
  try {
    const bytes = await readAll(path === '-' ? process.stdin : createReadStream(path), name)
    if (bytes.toString().trim() === '') throw new CliFault(`${name}: is empty`)
    return bytes
  } catch (error) {
    if (error instanceof CliFault) throw error
    throw new CliFault(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Reads a record from a file, or from standard input for `-`. A mistake in it is told with the name of the file. */
export async function readRecord(path: string, semantics: Semantics): Promise<AclRecord> {
  const bytes = await readInput(path)
  try {
    return parseRecord(bytes, { semantics })
  } catch (error) {
    if (error instanceof RecordInvalid)
      throw new CliFault(`${path === '-' ? 'standard input' : path}: ${error.message}`)
    throw error
  }
}
