import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { HOOKS } from '../../src/vernemq/hooks.js'
import { eventually } from '../helpers/eventually.js'
import { FakeVernemq } from './fake-vernemq.js'

const EXAMPLE = fileURLToPath(new URL('../../examples/vernemq/', import.meta.url))
const SECRET = 'change-me-0123456789'

async function start(env: Record<string, string>): Promise<{ child: ChildProcess; url: string; lines: string[] }> {
  const child = spawn(process.execPath, ['--import', 'tsx', `${EXAMPLE}server.ts`], {
    env: { ...process.env, PORT: '0', WEBHOOK_SECRET: SECRET, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on('line', line => lines.push(line))
  }
  const origin = () => lines.find(line => line.startsWith('webhooks on '))?.slice('webhooks on '.length)
  await eventually(() => origin() !== undefined, `the server listens: ${lines.join('\n')}`, 30_000)
  return { child, url: `${origin()}/${SECRET}`, lines }
}

describe('the example for VerneMQ', () => {
  it('serves, says why it refuses, and ends gracefully', async () => {
    const { child, url, lines } = await start({})
    const body = {
      username: '102',
      mountpoint: '',
      client_id: '1528361747',
      qos: 0,
      topic: 'say',
      payload: '',
      retain: false,
    }
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'vernemq-hook': 'auth_on_publish' },
      body: JSON.stringify(body),
    })
    expect(await response.text()).toBe('{"result":{"error":"no_matching_rule"}}')
    const line =
      'client "1528361747" (user "102") may not publish to "say": no_matching_rule, no rule allows it; ' +
      'auth_on_publish; nearest: "hello"'
    await eventually(() => lines.includes(line), 'the refusal is explained')
    expect(readFileSync(`${EXAMPLE}README.md`, 'utf8')).toContain(line)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  }, 60_000)

  it('logs the accounts of the story in, and tells how long rights live on', async () => {
    const cluster = await FakeVernemq.start(['', ''])
    onTestFinished(() => cluster.close())
    const { url, lines } = await start({
      VERNEMQ_NODES: cluster.origins.join(),
      VERNEMQ_API_KEY: 'key-a',
      CACHE_SECONDS: '60',
    })
    for (const node of cluster.nodes) node.endpoint = url
    const client = { clientId: '1528361231', username: '101' }
    expect(await cluster.nodes[0]!.connect(client, 'wrong')).toBe(false)
    expect(await cluster.nodes[0]!.connect(client, '38b3eff8baf56627478ec76a704e9b52')).toBe(true)
    expect(await cluster.nodes[0]!.publish(client, 'say')).toBe(true)
    expect(cluster.nodes[0]!.cache.size).toBe(2)
    await eventually(
      () => lines.some(line => /^a revoked right lives at most \d+ ms longer$/.test(line)),
      'the bound is told',
    )
  }, 60_000)

  it('registers hooks that exist, in both versions, and none that only notes', () => {
    const conf = readFileSync(`${EXAMPLE}vernemq.conf`, 'utf8')
    const hooks = [...conf.matchAll(/^#? ?vmq_webhooks\.(\w+)\.hook = (\w+)$/gm)].map(([, name, hook]) => ({
      name,
      hook,
    }))
    expect(hooks).toHaveLength(8)
    for (const { name, hook } of hooks) {
      expect(HOOKS.get(hook!)?.role, hook).toMatch(/^(register|publish|subscribe|unsubscribe)$/)
      expect(hooks.some(other => other.hook === hook!.replace(/(_m5)?$/, hook!.endsWith('_m5') ? '' : '_m5'))).toBe(
        true,
      )
      expect(conf).toContain(`vmq_webhooks.${name}.endpoint = http://127.0.0.1:8081/${SECRET}`)
    }
  })
})
