import type { Reporter, TestModule } from 'vitest/node'

/** Prints the plain line `N passed, N failed` last, whatever the terminal. */
export default class PlainSummary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0
    let failed = unhandled.length
    let skipped = 0
    for (const module of modules) {
      if (module.state() === 'failed' && module.errors().length > 0) failed++
      for (const test of module.children.allTests()) {
        const state = test.result().state
        if (state === 'passed') passed++
        else if (state === 'failed') failed++
        else skipped++
      }
    }
    const line = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
    // The default reporter prints its own summary in the same event: wait until it has.
    process.once('exit', () => process.stdout.write(`\n${line}\n`))
  }
}
