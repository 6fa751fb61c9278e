import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The built command line. */
export const CLI: string = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** What became of a command line. */
export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command line that runs. */
export interface Running {
  readonly child: ChildProcess
  /** Resolves when it has ended and its output is complete. */
  readonly ended: Promise<Outcome>
  /** What it has printed so far. */
  output(): Pick<Outcome, 'stdout' | 'stderr'>
}

/** Variables that name a Redis, which a test sets itself. */
const NAMED = ['REDIS_URL', 'REDIS_USERNAME', 'REDIS_PASSWORD', 'SENTINEL_USERNAME', 'SENTINEL_PASSWORD']

/** Starts a command line, without a terminal. */
export function launch(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !NAMED.includes(name)))
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...inherited, ...env } })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', chunk => (output.stdout += chunk))
  child.stderr.on('data', chunk => (output.stderr += chunk))
  child.stdin.on('error', () => {})
  const ended = new Promise<Outcome>(resolve => child.once('close', code => resolve({ code, ...output })))
  return { child, ended, output: () => ({ ...output }) }
}

/** Runs a command line that ends by itself. */
export function run(
  args: readonly string[],
  { input = '', env }: { readonly input?: string | Uint8Array; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  const { child, ended } = launch(args, env)
  child.stdin!.end(input)
  return ended
}
