import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

it('the custom-broker example plays its scene to the end', async () => {
  const script = fileURLToPath(new URL('../../examples/custom-broker.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script], { timeout: 60_000 })
  for (const line of [
    'screen received plant/sensor/temp: 21.5',
    'screen was granted [ 135 ]',
    'screen may not publish: PUBACK 135',
    'sensor was disconnected',
    'screen received plant/sensor/state: gone',
    'screen was disconnected: code 135',
  ]) {
    expect(stdout).toContain(`${line}\n`)
  }
  expect(stdout).toMatch(/\ndone\n$/)
}, 70_000)
