import { setTimeout as pause } from 'node:timers/promises'
import { Child } from './child.js'
import type { NodeCalls } from './protocol.js'

const CLOSE_MS = 5_000

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
export class NodeProcess extends Child<NodeCalls> {
  constructor() {
    super(new URL('./children/node.ts', import.meta.url))
  }

  /** Has the authorizer closed, in time; the process stays, for the next one. */
  async release(): Promise<void> {
    if (!this.isRunning) return
    this.resume()
    const late = pause(CLOSE_MS, false, { ref: false })
    if (await Promise.race([this.call('close').then(() => true), late])) idle.push(this)
    else {
      await this.kill()
      throw new Error(`the node was not closed within ${CLOSE_MS} ms`)
    }
  }
}
