import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

it('keeps no password of a login, however it ended, in memory, events or warnings', async () => {
  const script = fileURLToPath(new URL('./heap-canary.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script])
  const { outcomes, control, found } = JSON.parse(stdout) as {
    outcomes: Record<string, string>
    control: boolean
    found: string[]
  }
  expect(new Set(Object.values(outcomes))).toEqual(
    new Set(['allowed', 'bad_credentials', 'throttled', 'busy', 'deadline']),
  )
  expect({ control, found }).toEqual({ control: true, found: [] })
}, 60_000)
