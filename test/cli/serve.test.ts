import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRedisStore } from 'mqtt-warden/redis'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { startRedisServer } from '../helpers/redis-server.js'
import { ending, get, isReady, PASSWORD, PUMP, post, RECORD, serve, useRedis } from './serve-support.js'

const SECRET = 'a-secret-of-the-path'

describe('mqtt-warden serve', () => {
  const redis = useRedis()

  it('explains itself, with every path that it serves', async () => {
    const { code, stdout } = await ending(['--help'])
    expect(code).toBe(0)
    const brokers = ['/vernemq', '/emqx/authorization', '/rabbitmq/topic', '/mosquitto/aclcheck', '/nanomq/acl']
    for (const path of [...brokers, '/health/ready', '/metrics']) expect(stdout).toContain(path)
  })

  it('answers every broker from the same record', async () => {
    const served = await serve(['--redis', redis.url])
    const me = { clientid: 'pump-1', username: 'plant' }
    const topic = 'state/pump-1/x'
    const ask = (path: string, fields: object) => post(`${served.url}${path}`, fields)

    const login = { ...me, password: PASSWORD }
    expect((await ask('/emqx/authentication', login)).body).toBe('{"result":"allow","is_superuser":false}')
    const emqx = { ...me, topic, action: 'publish', qos: 1, retain: false }
    expect((await ask('/emqx/authorization', emqx)).body).toBe('{"result":"allow"}')

    const rabbit = { username: 'plant', vhost: '/', client_id: 'pump-1' }
    expect((await ask('/rabbitmq/user', { ...rabbit, password: PASSWORD })).body).toBe('allow')
    const write = { ...rabbit, name: 'amq.topic', permission: 'write', routing_key: 'state.pump-1.x' }
    expect((await ask('/rabbitmq/topic', write)).body).toBe('allow')

    expect((await ask('/mosquitto/getuser', login)).status).toBe(200)
    expect((await ask('/mosquitto/aclcheck', { ...me, topic, acc: 2 })).status).toBe(200)
    expect((await ask('/nanomq/auth', login)).status).toBe(200)
    expect((await ask('/nanomq/acl', { ...me, access: '2', topic })).status).toBe(200)

    const hook = { mountpoint: '', client_id: 'pump-1', username: 'plant', topic, qos: 1, retain: false, payload: '' }
    const verne = await post(`${served.url}/vernemq`, hook, { 'vernemq-hook': 'auth_on_publish' })
    expect(verne).toMatchObject({ status: 200, body: '{"result":"ok"}' })
  })

  it('obeys a change of the record at once', async () => {
    const served = await serve(['--redis', redis.url])
    await eventually(() => isReady(served), 'the server is ready')
    const fields = { clientid: 'pump-1', username: 'plant', topic: 'state/pump-1/x', acc: 2 }
    expect((await post(`${served.url}/mosquitto/aclcheck`, fields)).status).toBe(200)
    await using store = createRedisStore(redis.url)
    await store.put(PUMP, { ...RECORD, publishAcl: [] })
    const isRefused = async () => (await post(`${served.url}/mosquitto/aclcheck`, fields)).status === 403
    await eventually(isRefused, 'the right is gone', 2_000)
  })

  it('logs a refusal with who, what, why and the nearest rule, on one line', async () => {
    const served = await serve(['--redis', redis.url])
    const clientid = 'pump-1'
    const topic = 'state/pump-2/x'
    const forged = 'x\n{"event":"forged"}'
    await post(`${served.url}/nanomq/acl`, { clientid, username: 'plant', access: '2', topic, ipaddr: '10.0.0.9' })
    await post(`${served.url}/nanomq/acl`, { clientid: forged, username: 'y'.repeat(5_000), access: '2', topic: 'a' })
    await eventually(() => served.lines.filter(({ event }) => event === 'denied').length === 2, 'both are logged')
    const [first, second] = served.lines.filter(({ event }) => event === 'denied')
    expect(first).toMatchObject({
      level: 'warn',
      action: 'publish',
      clientId: 'pump-1',
      username: 'plant',
      topic,
      address: '10.0.0.9',
      reason: 'no_matching_rule',
      nearest: 'state/%c/#',
      detail: 'nanomq_acl',
    })
    expect(first!.text).toContain('client "pump-1" (user "plant") from "10.0.0.9" may not publish to "state/pump-2/x"')
    expect(second).toMatchObject({ clientId: forged, reason: 'bad_credentials' })
    expect(String(second!.username)).toHaveLength(256)
    expect(served.lines.some(({ event }) => event === 'forged')).toBe(false)
  })

  it('does not let one client fill the log', async () => {
    const served = await serve(['--redis', redis.url])
    const fields = { clientid: 'pump-1', username: 'plant', access: '2', topic: 'no' }
    for (let index = 0; index < 60; index++) await post(`${served.url}/nanomq/acl`, fields)
    await post(`${served.url}/nanomq/acl`, { ...fields, username: 'other' })
    await eventually(() => served.lines.some(({ username }) => username === 'other'), 'the other client is logged')
    expect(served.lines.filter(({ username }) => username === 'plant').length).toBeLessThan(40)
  })

  it('counts for Prometheus', async () => {
    const served = await serve(['--redis', redis.url])
    await eventually(() => isReady(served), 'the server is ready')
    const me = { clientid: 'pump-1', username: 'plant' }
    await post(`${served.url}/emqx/authentication`, { ...me, password: PASSWORD })
    await post(`${served.url}/emqx/authentication`, { ...me, password: 'no' })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: 'news/x', acc: 1 })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: 'state/pump-1/x', acc: 2 })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: 'news/#', acc: 4 })
    await post(`${served.url}/mosquitto/aclcheck`, { ...me, topic: '#', acc: 4 })
    const { status, body } = await get(`${served.url}/metrics`)
    expect(status).toBe(200)
    const value = (name: string) => Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(body)?.[1])
    const decided = (action: string, outcome: string, reason = '') =>
      value(`mqtt_warden_decisions_total{action="${action}",outcome="${outcome}",reason="${reason}"}`)
    expect(decided('connect', 'allow')).toBe(1)
    expect(decided('connect', 'deny', 'bad_credentials')).toBe(1)
    for (const action of ['receive', 'publish', 'subscribe']) expect(decided(action, 'allow'), action).toBe(1)
    expect(decided('subscribe', 'deny', 'no_matching_rule')).toBe(1)
    const requests = (endpoint: string, code: number) =>
      value(`mqtt_warden_request_duration_seconds_count{endpoint="${endpoint}",status="${code}"}`)
    expect([requests('emqx', 200), requests('mosquitto', 200), requests('mosquitto', 403)]).toEqual([2, 3, 1])
    expect(value('mqtt_warden_link_live')).toBe(1)
    expect(body).toMatch(/^mqtt_warden_server_link_live\{server="127\.0\.0\.1:\d+"\} 1$/m)
    expect(body).toMatch(/^mqtt_warden_server_link_age_seconds\{server="127\.0\.0\.1:\d+"\} \d\.\d+$/m)
    expect(value('mqtt_warden_cache_records')).toBe(1)
    expect(value('mqtt_warden_cache_hits_total')).toBeGreaterThan(0)
    expect(value('mqtt_warden_hashes_queued')).toBe(0)
    expect(value('mqtt_warden_revocation_bound_seconds')).toBe(60)
    expect(body).not.toContain('pump-1')
  })

  it('is ready only while Redis answers, and refuses meanwhile', async () => {
    const own = await startRedisServer()
    try {
      const served = await serve([], { REDIS_URL: own.url })
      await eventually(() => isReady(served), 'the server is ready')
      await own.kill()
      await eventually(async () => !(await isReady(served)), 'the server is not ready')
      expect((await get(`${served.url}/health/live`)).body).toBe('{"status":"ok"}')
      expect((await get(`${served.url}/health/ready`)).body).toMatch(/"status":"(blind|unreachable)"/)
      const login = { clientid: 'pump-1', username: 'plant', password: PASSWORD }
      expect((await post(`${served.url}/mosquitto/getuser`, login)).status).toBe(503)
      expect(served.lines.filter(({ event }) => event === 'link').map(({ state }) => state)).toContain('blind')
      await own.restart()
      await eventually(() => isReady(served), 'the server is ready again')
    } finally {
      await own.stop()
    }
  })

  it('wants the secret of everybody but the pages', async () => {
    const args = ['--redis', redis.url, '--listen', '0.0.0.0', '--secret-env', 'AUTH_SECRET']
    const served = await serve(args, { AUTH_SECRET: SECRET })
    const base = served.url.replace('0.0.0.0', '127.0.0.1')
    const login = { clientid: 'pump-1', username: 'plant', password: PASSWORD }
    expect((await post(`${base}/mosquitto/getuser`, login)).status).toBe(404)
    expect((await post(`${base}/mosquitto/${SECRET}/getuser`, login)).status).toBe(200)
    expect(await post(`${base}/emqx/authentication`, login)).toEqual({ status: 200, body: '{"result":"deny"}' })
    expect((await post(`${base}/emqx/${SECRET}/authentication`, login)).body).toContain('allow')
    for (const page of ['/health/live', '/metrics']) expect((await get(base + page)).status).toBe(200)
    for (const page of ['/', '/health', '/metrics/', '/x']) expect((await get(base + page)).status).toBe(404)
    expect((await post(`${base}/metrics`, {})).status).toBe(405)
    expect(JSON.stringify(served.lines)).not.toContain(SECRET)
  })

  it('says in its log what to do about a Redis that lets nobody in', async () => {
    const served = await serve(['--redis', redis.url.replace('//', '//nobody:hidden@')])
    const trouble = () => served.lines.find(({ place }) => place === 'store: redis link')
    await eventually(() => trouble() !== undefined, 'the trouble is logged')
    expect(trouble()).toMatchObject({ remedy: 'see the user name and the password', code: 'ERR_STORE_UNAVAILABLE' })
    expect(JSON.stringify(served.lines)).not.toContain('hidden')
  })

  it('tells the nodes of VerneMQ that a right is gone', async () => {
    const calls: string[] = []
    const node = createServer((req, res) => {
      calls.push(decodeURIComponent(req.url!))
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify({ type: 'table', table: [] }))
    }).listen(0, '127.0.0.1')
    await once(node, 'listening')
    try {
      const url = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
      const args = ['--redis', redis.url, '--vernemq-node', url, '--cache-seconds', '60']
      const served = await serve(args, { VERNEMQ_API_KEY: 'key' })
      await eventually(() => calls.some(call => call.includes('cache/clear')), 'the cache is cleared at the start')
      await eventually(() => isReady(served), 'the server is ready')
      expect(served.lines.filter(({ level }) => level === 'error')).toEqual([])
      const hook = { mountpoint: '', client_id: 'pump-1', username: 'plant', topic: 'state/pump-1/x' }
      const body = { ...hook, qos: 0, retain: false, payload: '' }
      await post(`${served.url}/vernemq`, body, { 'vernemq-hook': 'auth_on_publish' })
      await using store = createRedisStore(redis.url)
      await store.delete(PUMP)
      const isCut = () => calls.some(call => call.includes('session/disconnect') && call.includes('pump-1'))
      await eventually(isCut, 'the client is disconnected')
      expect((await get(`${served.url}/metrics`)).body).toContain('mqtt_warden_vernemq_revocation_bound_seconds')
      expect(await served.stop()).toBe(0)
    } finally {
      node.closeAllConnections()
      node.close()
    }
  })

  it('logs requests that no broker makes', async () => {
    const served = await serve(['--redis', redis.url])
    await post(`${served.url}/rabbitmq/topic`, { username: 'x', vhost: '/', permission: 'destroy' })
    await eventually(() => served.lines.some(({ event }) => event === 'error'), 'it is logged')
    expect(served.lines.find(({ event }) => event === 'error')).toMatchObject({
      place: 'rabbitmq',
      code: 'ERR_HOOK_REQUEST_INVALID',
      message: 'rabbitmq_topic: permission: must be one of write, read',
    })
  })
})
