import { readFile } from 'node:fs/promises'
import { text as readText } from 'node:stream/consumers'
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

/** Longest text read from a file or a pipe, in characters. */
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
    const piped = await readText(process.stdin)
    // `echo` ends its line; a password that ends in a line break itself has to come with one more.
    return piped.replace(/\r?\n$/, '')
  }
  const first = await ask('Password')
  if (confirm && (await ask('The same again')) !== first) throw new CliFault('the passwords differ')
  return first
}

async function ask(message: string): Promise<string> {
  // Loaded here, so that whoever is not asked need not wait for it.
  const { isCancel, password: promptPassword } = await import('@clack/prompts')
  // On standard error, so that standard output holds nothing but the result.
  const answer = await promptPassword({ message, output: process.stderr })
  if (isCancel(answer)) throw new CliFault('cancelled', EXIT.interrupted)
  return answer ?? ''
}

/** Reads a file, or standard input for `-`. */
async function readInput(path: string): Promise<string> {
  if (path === '-' && process.stdin.isTTY) throw new CliFault('no record: name a file, pipe one in, or use --redis')
  const name = path === '-' ? 'standard input' : path
  try {
    const text = path === '-' ? await readText(process.stdin) : await readFile(path, 'utf8')
    if (text.length > MAX_INPUT) throw new CliFault(`${name}: larger than ${MAX_INPUT} characters`)
    if (text.trim() === '') throw new CliFault(`${name}: is empty`)
    return text
  } catch (error) {
    if (error instanceof CliFault) throw error
    throw new CliFault(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Reads a record from a file, or from standard input for `-`. A mistake in it is told with the name of the file. */
export async function readRecord(path: string, semantics: Semantics): Promise<AclRecord> {
  const text = await readInput(path)
  try {
    return parseRecord(text, { semantics })
  } catch (error) {
    if (error instanceof RecordInvalid)
      throw new CliFault(`${path === '-' ? 'standard input' : path}: ${error.message}`)
    throw error
  }
}
