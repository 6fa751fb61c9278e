import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verifyPassword } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Outcome, run } from '../helpers/cli.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'

const PASSHASH = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'
const PASSWORD = '38b3eff8baf56627478ec76a704e9b52'

const cli = (args: readonly string[], input: string | Uint8Array = ''): Promise<Outcome> => run(args, { input })

const RECORD = JSON.stringify({
  passhash: PASSHASH,
  publish_acl: [
    { pattern: 'plant/%c/#', max_qos: 1 },
    { pattern: 'small', max_payload_size: 10 },
  ],
  subscribe_acl: [{ pattern: 'plant/+' }],
})

const COMMANDS = ['hash', 'verify', 'check', 'doctor', 'put', 'delete', 'ban', 'get', 'list', 'nodes', 'serve']

describe('mqtt-warden', () => {
  it('explains itself and every command', async () => {
    const { stdout } = await cli(['--help'])
    const names = [...stdout.matchAll(/^ {2}([a-z]+) .*\S/gm)].map(([, name]) => name!)
    expect(names).toEqual([...COMMANDS, 'help'])
    const outcomes = await Promise.all(COMMANDS.map(name => cli([name, '--help'])))
    for (const [at, { code, stdout: text }] of outcomes.entries()) {
      expect(code).toBe(0)
      expect(text).toContain(`Usage: mqtt-warden ${COMMANDS[at]}`)
      expect(text).not.toContain('default: false')
      if (!['hash', 'verify'].includes(COMMANDS[at]!)) expect(text).toContain('redis+sentinel://')
    }
    expect((await cli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['hash', '--cost', '99'], 'must be an integer from 4 to 15'],
    [['hash', 'secret'], 'too many arguments'],
    [['check', '--qos', '3'], 'must be an integer from 0 to 2'],
    [['check', '--payload-size', ''], 'must be an integer from 0'],
    [['check', '/nowhere.json'], '/nowhere.json: '],
    [['check'], 'mqtt-warden: standard input: is empty'],
    [['check', 'a.json', '--redis', 'redis://h'], 'name a record or --redis, not both'],
    [['check', '-u', 'u', '--redis'], 'no Redis: give --redis <url> or set REDIS_URL'],
    [['hash'], 'mqtt-warden: the password is empty'],
  ])('ends %j with 2 and says what is wrong', async (args, message) => {
    const { code, stdout, stderr } = await cli(args as string[])
    expect(stderr).toContain(message)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })
})

describe('mqtt-warden hash', () => {
  it('hashes the password on standard input, without its line break', async () => {
    const { code, stdout } = await cli(['hash', '--cost', '4'], `${PASSWORD}\n`)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\$2a\$04\$.{53}\n$/)
    expect(await verifyPassword(PASSWORD, stdout.trim())).toBe(true)
  })

  it('takes nothing away from the password, not even a byte-order mark', async () => {
    const { stdout } = await cli(['hash', '--cost', '4'], '\uFEFFsecret')
    expect(await verifyPassword('\uFEFFsecret', stdout.trim())).toBe(true)
    expect(await verifyPassword('secret', stdout.trim())).toBe(false)
  })

  it('warns that VerneMQ cannot read another prefix', async () => {
    const { stdout, stderr } = await cli(['hash', '--cost', '4', '--prefix', '2b'], 'x')
    expect(stdout).toMatch(/^\$2b\$04/)
    expect(stderr).toContain('VerneMQ rejects $2b$')
  })

  it.each([
    ['x'.repeat(73), '73 bytes'],
    ['a\0b', 'U+0000'],
    [Buffer.from([0x61, 0xff]), 'the password is not UTF-8'],
    [Buffer.alloc(3 * 1024 * 1024, 'x'), 'standard input: larger than 2097152 bytes'],
  ])('refuses what would be cut or replaced', async (password, message) => {
    const { code, stdout, stderr } = await cli(['hash', '--cost', '4'], password)
    expect(stderr).toContain(message)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })
})

describe('mqtt-warden verify', () => {
  it('tells by its exit code whether the password belongs to the hash', async () => {
    expect((await cli(['verify', PASSHASH], PASSWORD)).code).toBe(0)
    expect((await cli(['verify', PASSHASH], 'wrong')).code).toBe(1)
  })

  it('says that the shell may have eaten the hash', async () => {
    const { code, stderr } = await cli(['verify', 'a0.UVQ'], PASSWORD)
    expect(stderr).toContain('single quotes')
    expect(code).toBe(2)
  })
})

describe('mqtt-warden check', () => {
  let folder: string
  let file: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'warden-cli-'))
    file = join(folder, 'record.json')
    writeFileSync(file, RECORD)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each([
    [['--publish', 'plant/p7/temp', '-c', 'p7'], 0, 'allowed  publish "plant/p7/temp": by "plant/%c/#"'],
    [['--publish', 'plant/p8/temp', '-c', 'p7'], 1, 'refused  publish "plant/p8/temp": no_matching_rule'],
    [['--publish', 'plant/p7/temp', '-c', 'p7', '--qos', '2'], 1, 'nearest: "plant/%c/#" misses max_qos 1'],
    [['--publish', 'small', '--payload-size', '11'], 1, 'misses max_payload_size 10'],
    [['--publish', 'small'], 1, 'the size is not known'],
    [['--subscribe', 'plant/#'], 1, 'nearest: "plant/+"'],
    [['--subscribe', 'plant/#', '--semantics', 'vernemq'], 0, 'allowed  subscribe "plant/#"'],
    [['--receive', 'plant/7'], 0, 'allowed  receive "plant/7"'],
    [['--publish', 'a\nb'], 1, '"a\\nb"'],
    [['--publish', 'a/#'], 1, 'refused  publish "a/#": topic_invalid, the topic name is not valid\n'],
    [['--publish', '$SYS/x', '--semantics', 'vernemq'], 1, 'no_matching_rule, no rule allows it\n'],
    [[], 0, 'the record can be used: 2 publish and 1 subscribe rules'],
  ])('answers %j with %i', async (args, code, text) => {
    const outcome = await cli(['check', file, ...(args as string[])])
    expect(outcome.stdout).toContain(text)
    expect(outcome.code).toBe(code)
  })

  it('reads a record from standard input and names the place of a mistake', async () => {
    expect((await cli(['check'], RECORD)).code).toBe(0)
    const { code, stderr } = await cli(['check', '-'], RECORD.replace('plant/+', 'plant/#/x'))
    expect(stderr).toContain("standard input: subscribe_acl[0].pattern: '#' must be the last level")
    expect(code).toBe(2)
  })

  it.each([
    ['a byte-order mark', Buffer.from(`\uFEFF${RECORD}`), 'is not JSON'],
    ['bytes that are not UTF-8', Buffer.from(RECORD.replace('small', 'sm\xE4ll'), 'latin1'), 'is not UTF-8'],
  ])('refuses %s in a record, as a store does', async (_, input, problem) => {
    writeFileSync(join(folder, 'odd.json'), input)
    for (const outcome of [await cli(['check'], input), await cli(['check', join(folder, 'odd.json')])]) {
      expect(outcome.stderr).toContain(problem)
      expect(outcome.code).toBe(2)
    }
  })

  it('says that a record without rules has none', async () => {
    const { stdout } = await cli(['check', '-s', 'a'], JSON.stringify({ passhash: PASSHASH }))
    expect(stdout).toBe('refused  subscribe "a": no_matching_rule, no rule allows it; there are no rules\n')
  })

  it('says that nobody can log in by a record, and what its rules allow all the same', async () => {
    const record = RECORD.replace(PASSHASH, 'secret')
    const { code, stderr, stdout } = await cli(['check'], record)
    expect(stderr).toBe(
      'mqtt-warden: nobody can log in by this record: passhash: must be a bcrypt hash of 60 characters\n',
    )
    expect([code, stdout]).toEqual([1, ''])
    expect((await cli(['check', '-r', 'plant/7'], record)).code).toBe(0)
  })

  it('says that a record has ended', async () => {
    const { code, stderr, stdout } = await cli(['check'], RECORD.replace('{', '{"expires_at":1,'))
    expect(stderr).toBe(
      'mqtt-warden: nobody can log in by this record: expires_at: it ended at 1970-01-01T00:00:01.000Z\n',
    )
    expect([code, stdout]).toEqual([1, ''])
  })

  it('prints JSON for programs', async () => {
    const { code, stdout } = await cli(['check', file, '--json', '-p', 'small', '--payload-size', '5', '-s', '#'])
    expect(JSON.parse(stdout)).toEqual({
      key: null,
      results: [
        { action: 'publish', subject: 'small', allow: true, rule: { pattern: 'small', maxPayloadSize: 10 } },
        {
          action: 'subscribe',
          subject: '#',
          allow: false,
          reason: 'no_matching_rule',
          nearest: { pattern: 'plant/+' },
        },
      ],
    })
    expect(code).toBe(1)
  })
})

describe('mqtt-warden check --redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedisServer()
    await using store = createRedisStore(redis.url)
    const acl = { publishAcl: [{ pattern: 'say' }], subscribeAcl: [] }
    await store.put({ mountpoint: '', clientId: '*', username: 'fleet' }, { passhash: PASSHASH, ...acl })
  })
  afterAll(() => redis.stop())

  it('falls back to the record of all client ids and says which record decided', async () => {
    const { code, stdout } = await cli(['check', '--redis', redis.url, '-u', 'fleet', '-c', 'x', '-p', 'say'])
    expect(stdout).toContain('record ["","*","fleet"]')
    expect(code).toBe(0)
  })

  it('refuses where there is no record', async () => {
    const { code, stdout } = await cli(['check', '--redis', redis.url, '-u', 'nobody', '-c', 'x', '-p', 'say'])
    expect(stdout).toContain('no record')
    expect(code).toBe(1)
  })

  it('ends with 2 where Redis cannot be reached', async () => {
    const { code, stderr } = await cli(['check', '--redis', 'redis://127.0.0.1:1', '-u', 'x', '-c', 'x', '-p', 'say'])
    expect(stderr).toContain('ERR_STORE_UNAVAILABLE')
    expect(code).toBe(2)
  })
})
