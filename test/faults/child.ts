import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** What a process of a test can be asked to do, by name. */
export type Calls<C> = { readonly [N in keyof C]: (...args: never[]) => Promise<unknown> }

type Result<C extends Calls<C>, N extends keyof C> = Awaited<ReturnType<C[N]>>

interface Request {
  readonly id: number
  readonly name: string
  readonly args: readonly unknown[]
}

type Reply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string }

/** A process of its own that answers calls. */
export class Child<C extends Calls<C>> {
  readonly #process: ChildProcess
  readonly #waiting: Map<number, { resolve(result: unknown): void; reject(error: Error): void }> = new Map()
  #calls = 0
  #said = ''

  /** @param script TypeScript that hands its calls to {@link serve}. */
  constructor(script: URL, nodeOptions: readonly string[] = []) {
    const options = { execArgv: ['--import', 'tsx', ...nodeOptions], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] as const }
    this.#process = fork(script, { ...options, stdio: [...options.stdio] })
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on('data', chunk => (this.#said += chunk))
    this.#process.on('message', (reply: Reply) => {
      const { resolve, reject } = this.#waiting.get(reply.id)!
      this.#waiting.delete(reply.id)
      if ('error' in reply) reject(new Error(reply.error))
      else resolve(reply.result)
    })
    this.#process.once('exit', (code, signal) => {
      const error = new Error(`the process ended (${signal ?? code}): ${this.#said}`)
      for (const { reject } of this.#waiting.values()) reject(error)
    })
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  async call<N extends keyof C & string>(name: N, ...args: Parameters<C[N]>): Promise<Result<C, N>> {
    if (!this.isRunning) throw new Error(`the process has ended: ${this.#said}`)
    const id = this.#calls++
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#process.send({ id, name, args } satisfies Request)
    return (await answer) as Result<C, N>
  }

  /** Lets it stand still, between two turns of its event loop: no answer is on its way then. */
  async standStill(): Promise<void> {
    await this.call(STAND_STILL as keyof C & string, ...([] as unknown as Parameters<C[keyof C]>))
  }

  resume(): void {
    this.#process.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    if (!this.isRunning) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }
}

const STAND_STILL = 'standStill'

/** Answers the calls of the parent, and ends with it. For the script of a {@link Child}. */
export function serve<C extends Calls<C>>(calls: C): void {
  process.on('message', ({ id, name, args }: Request) => {
    const named = calls[name as keyof C] as unknown as ((...args: readonly unknown[]) => Promise<unknown>) | undefined
    const call = name === STAND_STILL ? async () => {} : named!
    call(...args).then(
      result => {
        process.send!({ id, result } satisfies Reply, () => {
          if (name === STAND_STILL) process.kill(process.pid, 'SIGSTOP')
        })
      },
      error => process.send!({ id, error: String(error?.stack ?? error) } satisfies Reply),
    )
  })
  process.on('disconnect', () => process.exit())
}

/** Everything in this process that nobody caught, warnings included. */
export function collectCrashes(): string[] {
  const crashes: string[] = []
  for (const kind of ['uncaughtException', 'unhandledRejection', 'warning']) {
    process.on(kind, reason => crashes.push(`${kind}: ${reason instanceof Error ? reason.stack : String(reason)}`))
  }
  return crashes
}
