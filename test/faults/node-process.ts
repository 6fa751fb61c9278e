import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Calls, Reply, Request } from './protocol.js'

const CLOSE_MS = 5_000

type Call<N extends keyof Calls> = (...args: Parameters<Calls[N]>) => ReturnType<Calls[N]>

/** Processes without an authorizer at the moment: to start one takes longer than most faults. */
const idle: NodeProcess[] = []

/** As many nodes as are wanted. */
export function takeNodes(count: number): NodeProcess[] {
  return Array.from({ length: count }, () => idle.pop() ?? new NodeProcess())
}

/** Ends the processes of nodes that were released. */
export async function endNodes(): Promise<void> {
  await Promise.all(idle.splice(0).map(node => node.kill()))
}

/** A process of its own that runs an authorizer and asks it for rights all the time. */
export class NodeProcess {
  readonly #child: ChildProcess
  readonly #waiting: Map<number, { resolve(result: unknown): void; reject(error: Error): void }> = new Map()
  #calls = 0
  #said = ''

  constructor() {
    const script = new URL('./children/node.ts', import.meta.url)
    this.#child = fork(script, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on('data', chunk => (this.#said += chunk))
    this.#child.on('message', (reply: Reply) => {
      const { resolve, reject } = this.#waiting.get(reply.id)!
      this.#waiting.delete(reply.id)
      if ('error' in reply) reject(new Error(reply.error))
      else resolve(reply.result)
    })
    this.#child.once('exit', (code, signal) => {
      const error = new Error(`the node ended (${signal ?? code}): ${this.#said}`)
      for (const { reject } of this.#waiting.values()) reject(error)
    })
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  readonly open: Call<'open'> = place => this.#call('open', place)
  readonly report: Call<'report'> = () => this.#call('report')
  readonly put: Call<'put'> = (key, record) => this.#call('put', key, record)
  /** Lets the process stand still, until `resume`. */
  readonly standStill: Call<'standStill'> = () => this.#call('standStill')
  readonly close: Call<'close'> = () => this.#call('close')

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    if (!this.isRunning) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  /** Has the authorizer closed, in time; the process stays, for the next one. */
  async release(): Promise<void> {
    if (!this.isRunning) return
    this.resume()
    const isClosed = await Promise.race([this.close().then(() => true), pause(CLOSE_MS)])
    if (isClosed) idle.push(this)
    else {
      await this.kill()
      throw new Error(`the node was not closed within ${CLOSE_MS} ms`)
    }
  }

  #call<T>(name: keyof Calls, ...args: readonly unknown[]): Promise<T> {
    if (!this.isRunning) return Promise.reject(new Error(`the node has ended: ${this.#said}`))
    const id = this.#calls++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject })
      this.#child.send({ id, name, args } satisfies Request)
    })
  }
}
