import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLI, launch, run } from '../helpers/cli.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const README = read('README.md')
const section = (heading: string): string => README.split(`\n${heading}\n`)[1]!.split(/\n## /)[0]!
const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block!)

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedisServer()
})
afterAll(() => redis.stop())

describe('what the README says of the command line', () => {
  it('names only commands and options that there are, and every command', async () => {
    const shown = [README, read('examples/http/README.md')].flatMap(text => [
      ...blocks(text, 'sh'),
      ...blocks(text, 'text'),
    ])
    const lines = shown.join('').replace(/\\\n/g, '').split('\n')
    const used = new Map<string, Set<string>>()
    let command: string | undefined
    for (const line of lines) {
      const begun = /(?:^|[$|] |=\S+ |npx )mqtt-warden ([a-z]+) /.exec(line)?.[1]
      if (begun !== undefined) command = begun
      else if (!/^ {8,}/.test(line)) command = undefined
      if (command === undefined) continue
      const options = used.get(command) ?? new Set()
      used.set(command, options)
      // Of a line for several commands, as "all three: …", the last one stands for the others.
      for (const [, option] of line.matchAll(/(?:^|[\s[])(-[a-z]|--[a-z-]+)(?=[\s\],]|$)/g)) options.add(option!)
    }
    const { stdout } = await run(['--help'])
    const names = [...stdout.matchAll(/^ {2}([a-z]+) .*\S/gm)].map(([, name]) => name!)
    expect([...used.keys()].sort()).toEqual(names.filter(name => name !== 'help').sort())
    const helps = await Promise.all([...used.keys()].map(name => run([name, '--help'])))
    for (const [at, [name, options]] of [...used].entries()) {
      for (const option of options)
        expect(helps[at]!.stdout, `${name} ${option}`).toMatch(new RegExp(`[ ,]${option}[ ,\\n]`))
    }
  })

  it('works as it stands there, on a Redis of this machine', async () => {
    const [script] = blocks(section('## Command line'), 'sh')
    const own = script!
      .replace('redis://127.0.0.1', redis.url)
      .replaceAll('npx mqtt-warden', `'${process.execPath}' '${CLI}'`)
    const { stdout } = await promisify(execFile)('bash', ['-eu', '-o', 'pipefail', '-c', own])
    expect(stdout).toContain('written ["","thermo-7","plant"]\n')
    expect(stdout).toContain('allowed  publish "plant/thermo-7/temp": by "plant/%c/#"\n')
    expect(stdout).toContain('allowed  subscribe "plant/thermo-7/set": by "plant/+/set"\n')
    expect(stdout).toContain('ok       records: 1\n')
  })

  it('grants a Redis user all that is needed, and nothing that is refused is missed', async () => {
    const [script] = blocks(README.split('\n### Which Redis\n')[1]!.split(/\n##/)[0]!, 'sh')
    const own = script!.replace('redis-cli', `redis-cli -p ${redis.port}`)
    expect((await promisify(execFile)('bash', ['-eu', '-c', own])).stdout).toBe('OK\n')
    const env = { REDIS_URL: redis.url, REDIS_USERNAME: 'warden', REDIS_PASSWORD: 'password' }
    const { child, ended, output } = launch(['serve', '--port', '0'], env)
    await eventually(() => output().stdout.includes('"state":"live"'), 'changes are heard')
    const put = ['put', 'p9', 'plant', '-p', 'a', '--password-stdin', '--receipt']
    expect(await run(put, { env, input: 'correct horse' })).toMatchObject({ code: 0, stderr: '' })
    expect((await run([...put.slice(0, 3), '-s', 'a', '--receipt'], { env })).code).toBe(0)
    expect((await run(['delete', 'p9', 'plant', '--receipt'], { env })).code).toBe(0)
    const { code, stdout } = await run(['doctor'], { env })
    expect(stdout).not.toMatch(/^(?:note|warning|failed)/m)
    expect(code).toBe(0)
    child.kill('SIGTERM')
    expect((await ended).code).toBe(0)
    expect(output().stdout).not.toContain('"level":"error"')
    const refused = String(await promisify(execFile)('redis-cli', ['-p', String(redis.port), 'ACL', 'LOG']))
    expect(refused).not.toContain('warden')
  })

  it('shows what check answers', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'warden-readme-'))
    const passhash = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'
    const rules = { publish_acl: [{ pattern: 'plant/%c/#', max_qos: 1 }], subscribe_acl: [{ pattern: 'plant/+/set' }] }
    writeFileSync(join(dir, 'device.json'), JSON.stringify({ passhash, ...rules }))
    const [, command, answer] = /^\$ mqtt-warden (check .*)\n((?:refused .*\n)+)/m.exec(README)!
    const args = command!.replaceAll("'", '').replace('device.json', join(dir, 'device.json')).split(' ')
    expect(await run(args)).toEqual({ code: 1, stdout: answer, stderr: '' })
    rmSync(dir, { recursive: true })
  })

  it('lists every metric of serve, and no other', async () => {
    const listed = [...section('## A server to run (`mqtt-warden serve`)').matchAll(/^\| (`.*`) \|/gm)].flatMap(
      ([, names]) => [...names!.matchAll(/`([a-z_]+)(?:\{[^}]*\})?`/g)].map(([, name]) => `mqtt_warden_${name}`),
    )
    const args = ['serve', '--port', '0', '--redis', redis.url, '--vernemq-node', 'http://127.0.0.1:1']
    const { child, ended, output } = launch(args, { VERNEMQ_API_KEY: 'key' })
    const url = (): string | undefined => /"event":"start","url":"([^"]+)"/.exec(output().stdout)?.[1]
    await eventually(() => url() !== undefined, 'the server listens')
    const metrics = await (await fetch(`${url()}/metrics`)).text()
    const there = [...metrics.matchAll(/^# TYPE (mqtt_warden_\w+) /gm)].map(([, name]) => name!)
    expect(listed.sort()).toEqual(there.sort())
    child.kill('SIGTERM')
    expect((await ended).code).toBe(0)
  })
})
