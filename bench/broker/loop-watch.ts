import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { LoopDelays } from './types.js'

/** Delays are counted beyond this, the pace at which the loop is asked. */
const PACE_MS = 1
const COURSE_MS = 250

/** Watches how late the event loop of this process is. */
export class LoopWatch {
  #all: IntervalHistogram | undefined
  #recent: IntervalHistogram | undefined
  #timer: NodeJS.Timeout | undefined
  #course: [number, number][] = []

  start(): void {
    const startedAt = performance.now()
    this.#all = monitorEventLoopDelay({ resolution: PACE_MS })
    this.#recent = monitorEventLoopDelay({ resolution: PACE_MS })
    this.#course = []
    this.#all.enable()
    this.#recent.enable()
    this.#timer = setInterval(() => {
      this.#course.push([(performance.now() - startedAt) / 1_000, delay(this.#recent!.max)])
      this.#recent!.reset()
    }, COURSE_MS)
  }

  stop(): LoopDelays {
    clearInterval(this.#timer)
    this.#all!.disable()
    this.#recent!.disable()
    return { p99: delay(this.#all!.percentile(99)), max: delay(this.#all!.max), course: this.#course }
  }
}

function delay(interval: number): number {
  return Math.max(0, interval - PACE_MS * 1e6)
}
