import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/*
 * Processes of a bench and how they talk: the parent asks by name, the child answers, and may tell things unasked.
 */

interface Question {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

type Message =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly told: unknown }

/** A child process, seen from its parent. */
export class Child {
  readonly #process: ChildProcess
  readonly #waiting: Map<number, { resolve(value: never): void; reject(error: Error): void }> = new Map()
  #questions = 0
  /** Hears what the child tells unasked. */
  onTold: (told: never) => void = () => {}

  /** Starts a TypeScript file, and resolves when it is ready to answer. */
  static async start(script: URL, argument: unknown, execArgv: readonly string[] = []): Promise<Child> {
    const child = new Child(script, argument, execArgv)
    await Promise.race([once(child.#process, 'message'), child.#ended(script)])
    child.#process.on('message', (message: Message) => child.#hear(message))
    return child
  }

  private constructor(script: URL, argument: unknown, execArgv: readonly string[]) {
    this.#process = fork(fileURLToPath(script), [JSON.stringify(argument)], {
      execArgv: ['--import', 'tsx', ...execArgv],
      serialization: 'advanced',
    })
    this.#ended(script).catch((error: Error) => {
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
  }

  /** Rejects when the process ends. */
  async #ended(script: URL): Promise<never> {
    const [code, signal] = (await once(this.#process, 'exit')) as [number | null, string | null]
    throw new Error(`${script.pathname} ended with ${code ?? signal}`)
  }

  ask<T>(name: string, argument?: unknown): Promise<T> {
    const id = this.#questions++
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#process.send({ id, name, argument } satisfies Question)
    })
  }

  /** Ends it, also while it is too busy to hear of it. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }

  #hear(message: Message): void {
    if ('told' in message) {
      this.onTold(message.told as never)
      return
    }
    const asker = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('error' in message) asker?.reject(new Error(message.error))
    else asker?.resolve(message.value as never)
  }
}

/** What the parent passed to this process. */
export function childArgument<T>(): T {
  return JSON.parse(process.argv[2]!) as T
}

/** Says in a child that it is ready, and answers from then on; ends it with its parent. */
export function answer(answers: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on('message', async ({ id, name, argument }: Question) => {
    try {
      const value = await answers[name]!(argument as never)
      process.send?.({ id, value })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
  process.once('disconnect', () => process.exit())
  process.send?.('ready')
}

/** Tells the parent something it has not asked for. */
export function tell(told: unknown): void {
  process.send?.({ told })
}
