import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const run = promisify(execFile)
const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url))

async function runExample(name: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', `${EXAMPLES}${name}`], {
    env: { ...process.env, ...env },
    timeout: 100_000,
  })
  return stdout
}

describe('examples', { timeout: 100_000 }, () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedisServer()
  })
  afterAll(() => redis.stop())

  it('are all listed in the index', () => {
    const index = readFileSync(`${EXAMPLES}README.md`, 'utf8')
    for (const name of readdirSync(EXAMPLES).filter(file => file.endsWith('.ts'))) expect(index).toContain(`(${name})`)
  })

  it('match-only prints the decisions its comments promise', async () => {
    const lines = (await runExample('match-only.ts')).split('\n')
    expect(lines.slice(0, 6)).toEqual(['true', 'false', 'false', 'true', 'hash_not_last', 'true'])
  })

  it('memory-store shows a change counting at once', async () => {
    expect(await runExample('memory-store.ts')).toMatch(/^true\nclient .*\nfalse\nclient .*\nfalse\ntrue deleted\n$/)
  })

  it.each([undefined, 'redis'])('provisioning works on %s', async where => {
    const output = await runExample('provisioning.ts', where === undefined ? {} : { REDIS_URL: redis.url })
    expect(output).toContain("publishAcl[0].pattern: '#' must be the last level")
    expect(output).toMatch(/removed\n$/)
  })

  it('custom-hasher takes over the accounts of a mosquitto password file', async () => {
    expect((await runExample('custom-hasher.ts')).trim().split('\n')).toEqual([
      'stored: $7$1',
      'wrong password: bad_credentials',
      'right password: let in',
      'stored: $2a$',
      'still connected: true',
    ])
  })

  it('records-file follows what an editor does to the file of accounts', async () => {
    const denial = 'client "thermo-7" (user "plant") may not publish to "plant/thermo-7/temp": no_matching_rule'
    expect((await runExample('records-file.ts')).trim().split('\n')).toEqual([
      'true',
      `${denial}, no rule allows it; nearest: "plant/%c/humidity"`,
      'false',
      "the file is not used: account 1: publish_acl[0].pattern: '#' must be the last level",
      'deleted',
    ])
  })

  it('http/endpoint answers a broker that asks', async () => {
    const output = await runExample('http/endpoint.ts')
    expect(output).toContain('-> {"result":"allow"}')
    expect(output).toContain('may not publish to "state/pump-2/temperature"')
  })

  it.each([undefined, 'redis'])('aedes-broker takes a right away from a connected client on %s', async where => {
    const output = await runExample('aedes-broker.ts', where === undefined ? {} : { REDIS_URL: redis.url })
    expect(output).toContain('received news/today: first')
    expect(output).not.toContain('received news/today: second')
    expect(output).toContain('may not subscribe to "news/today"')
  })

  it('aedes-cluster shows a change counting on both nodes', async () => {
    const output = await runExample('aedes-cluster.ts', { REDIS_URL: redis.url })
    expect(output).toContain('done')
  })

  it('the demo goes as told in memory', async () => {
    const output = await runExample('demo.ts')
    expect(output).toMatch(/All scenes went as told\.\n$/)
    expect(output).not.toContain('\u001b[')
  })

  it('the demo goes as told on Redis, with a process per node', async () => {
    const output = await runExample('demo.ts', { REDIS_URL: redis.url })
    expect(output).toMatch(/All scenes went as told\.\n$/)
  })
})
