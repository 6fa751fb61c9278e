import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'

/** Runs a module that imports the built package, and resolves with how it ended. */
function run(source: string, ...flags: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', source], {
      cwd: new URL('../..', import.meta.url),
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
}

const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

describe('a process that hashes', () => {
  it('ends by itself, without waiting for idle threads', async () => {
    const { code, stdout, stderr } = await run(`
      import { createBcryptHasher, hashPassword, verifyPassword } from 'mqtt-warden'
      const passhash = await hashPassword('secret', { cost: 4 })
      const hasher = createBcryptHasher()
      const verdicts = [await verifyPassword('secret', passhash), await hasher.verify('secret', passhash, { timeoutMs: 9e3 })]
      const begin = performance.now()
      process.on('exit', () => console.log(JSON.stringify({ verdicts, waitedMs: performance.now() - begin })))
    `)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const { verdicts, waitedMs } = JSON.parse(stdout)
    expect(verdicts).toEqual([true, true])
    // Threads are kept for five seconds; one that held the process would show.
    expect(waitedMs).toBeLessThan(4_000)
  })

  it('does not end before a hash that it waits for', async () => {
    const { code, stdout } = await run(`
      import { hashPassword } from 'mqtt-warden'
      hashPassword('secret', { cost: 4 }).then(passhash => console.log(passhash.length))
    `)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '60\n' })
  })

  it('starts no thread by importing the package or by creating a hasher', async () => {
    const { code, stdout } = await run(`
      import { createBcryptHasher } from 'mqtt-warden'
      const started = []
      process.on('worker', worker => started.push(worker.threadId))
      createBcryptHasher().passhashProblem('')
      console.log(started.length)
    `)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '0\n' })
  })

  it('survives that the system grants it no thread', async () => {
    const { code, stdout } = await run(
      `
      import { createBcryptHasher, hashPassword } from 'mqtt-warden'
      const passhash = '$2a$04$' + 'x'.repeat(53)
      const hasher = createBcryptHasher({ threads: 1 })
      const calls = [1, 2, 3].map(() => hasher.verify('secret', passhash, { timeoutMs: 9e3 }))
      calls.push(hashPassword('secret'))
      for (const { reason } of await Promise.allSettled(calls)) console.log(reason.code, reason.cause?.code)
      await hasher.close()
    `,
      permission,
      '--allow-fs-read=*',
    )
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ERR_HASH_FAILED ERR_ACCESS_DENIED\n'.repeat(4) })
  })
})
