import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { VernemqAdminFailed } from '../../src/errors.js'
import { createVernemqAdmin, type VernemqAdmin, type VernemqAdminOptions } from '../../src/vernemq/index.js'
import { FakeVernemq } from './fake-vernemq.js'

async function open(nodes = 1, more: Partial<VernemqAdminOptions> = {}): Promise<[VernemqAdmin, FakeVernemq]> {
  const cluster = await FakeVernemq.start(Array(nodes).fill('http://127.0.0.1:1'))
  onTestFinished(() => cluster.close())
  return [createVernemqAdmin({ nodes: cluster.origins, apiKey: 'key-a', ...more }), cluster]
}

function seat(cluster: FakeVernemq, clientId: string, username = 'u1', mountpoint = '', isOnline = true): void {
  const node = cluster.nodes[0]!
  const session = { node, mountpoint, clientId, username, isPersistent: true, isOnline, subscriptions: new Set(['a']) }
  cluster.sessions.set(JSON.stringify([mountpoint, clientId]), session)
}

describe('disconnect', () => {
  it.each([
    ['a plain client id', 'c1', ''],
    ['a space, an ampersand and a plus sign', 'a & b+c%20', ''],
    ['another mountpoint', 'c1', 'mp 1'],
    ['a quotation mark', 'a"b', ''],
    ['an equals sign in the middle', 'a=b', ''],
    ['an equals sign at the end, which the older interface would cut off', 'c1=', ''],
    ['text beyond ASCII', 'cé-日本', ''],
    ['a backslash', 'a\\', ''],
  ])('closes the connection of a client with %s, and of no other', async (_name, clientId, mountpoint) => {
    const [admin, cluster] = await open()
    seat(cluster, clientId, 'u1', mountpoint)
    seat(cluster, 'other')
    if (clientId === 'c1=') seat(cluster, 'c1')
    await admin.disconnect({ clientId, mountpoint })
    expect([...cluster.sessions.values()].filter(({ isOnline }) => !isOnline).map(s => s.clientId)).toEqual([clientId])
    expect(cluster.session(clientId, mountpoint)?.subscriptions.size).toBe(1)
  })

  it.each(['c1', 'a"b'])('deletes what is stored for %j if told to', async clientId => {
    const [admin, cluster] = await open()
    seat(cluster, clientId, 'u1', '', false)
    await admin.disconnect({ clientId, mountpoint: '' }, { cleanup: true })
    expect(cluster.sessions.size).toBe(0)
  })

  it('is content when there is no such client', async () => {
    const [admin] = await open()
    await admin.disconnect({ clientId: 'nobody', mountpoint: '' })
    await admin.disconnect({ clientId: 'nobody"', mountpoint: '' })
  })

  it('says so when VerneMQ has no way to name the client', async () => {
    const [admin, cluster] = await open()
    const failure = await admin.disconnect({ clientId: 'a"b', mountpoint: 'mp' }).catch(error => error)
    expect(failure).toBeInstanceOf(VernemqAdminFailed)
    expect(failure).toMatchObject({
      code: 'ERR_VERNEMQ_ADMIN',
      isPermanent: true,
      message: 'client "a\\"b" of mountpoint "mp" cannot be named to VerneMQ',
    })
    expect(cluster.calls).toEqual([])
  })

  it('goes to another node when one is down, and stays with it', async () => {
    const [admin, cluster] = await open(2)
    seat(cluster, 'c1')
    await cluster.nodes[0]!.stop()
    await admin.disconnect({ clientId: 'c1', mountpoint: '' })
    expect(cluster.isOnline('c1')).toBe(false)
    await cluster.nodes[0]!.listen()
    await admin.disconnect({ clientId: 'c1', mountpoint: '' })
    expect(cluster.calls.map(({ node }) => node)).toEqual(['node2', 'node2'])
  })
})

describe('failures', () => {
  it.each<[string, 'hang' | 'fail' | undefined, Partial<VernemqAdminOptions>, RegExp]>([
    ['a node that answers with an error', 'fail', {}, /: \/api\/v1\/webhooks\/cache\/clear answered 500$/],
    [
      'a node that never answers',
      'hang',
      { timeoutMs: 100 },
      /: \/api\/v1\/webhooks\/cache\/clear got no answer: .*timeout$/,
    ],
    ['a wrong key', undefined, { apiKey: 'wrong' }, /: \/api\/v1\/webhooks\/cache\/clear answered 401$/],
  ])('name %s', async (_name, what, more, message) => {
    const [admin, cluster] = await open(1, more)
    cluster.nodes[0]!.intercept = () => what
    const failure = await admin.clearCache(admin.nodes[0]!).catch(error => error)
    expect(failure).toBeInstanceOf(VernemqAdminFailed)
    expect(failure).toMatchObject({ message: expect.stringMatching(message), node: admin.nodes[0], isPermanent: false })
    expect(failure.message).not.toContain('wrong')
  })

  it.each([200, 500])('name a node whose answer of status %i has no end, and stop reading it', async status => {
    let sent = 0
    const cancelled = vi.fn()
    const body = new ReadableStream({
      pull: controller => {
        sent += 1_000
        controller.enqueue(Buffer.alloc(1_000, ' '))
      },
      cancel: cancelled,
    })
    const node = 'http://10.0.0.1:8888'
    const options = { nodes: [node], apiKey: 'k', maxAnswerBytes: 10_000 }
    const admin = createVernemqAdmin({ ...options, fetch: async () => new Response(body, { status }) })
    await expect(admin.sessions()).rejects.toMatchObject({
      code: 'ERR_VERNEMQ_ADMIN',
      message: `${node}: /api/v1/session/show answered more than "maxAnswerBytes" (10000) bytes`,
      node,
      isPermanent: false,
    })
    expect(cancelled).toHaveBeenCalledOnce()
    expect(sent).toBeLessThan(15_000)
  })

  it('do not include an answer of exactly as many bytes as are read', async () => {
    const answer = JSON.stringify({ table: [{ client_id: 'é'.repeat(2_000), mountpoint: '', user: 'u1' }] })
    const maxAnswerBytes = Buffer.byteLength(answer)
    const options = { nodes: ['http://10.0.0.1:8888'], apiKey: 'k', fetch: async () => new Response(answer) }
    expect(await createVernemqAdmin({ ...options, maxAnswerBytes }).sessions()).toHaveLength(1)
    const admin = createVernemqAdmin({ ...options, maxAnswerBytes: maxAnswerBytes - 1 })
    await expect(admin.sessions()).rejects.toThrow('answered more than "maxAnswerBytes"')
  })

  it('tell of a node that sends too much, after the others were asked', async () => {
    const [admin, cluster] = await open(2, { maxAnswerBytes: 1_024 })
    for (let at = 0; at < 20; at++) seat(cluster, `c${at}-${'x'.repeat(100)}`)
    await expect(admin.sessions()).rejects.toThrow('answered more than "maxAnswerBytes" (1024) bytes')
    expect(cluster.calls.map(({ node }) => node)).toEqual(['node1', 'node2'])
  })

  it.each([
    [{ table: [null] }, 'a session has no client id'],
    [{ table: [{ client_id: 1 }] }, 'a session has no client id'],
    [{ table: 'none' }, 'the list of sessions is none'],
    [null, 'the answer is no object'],
  ])('name a node that lists %j, and have the others asked', async (answer, problem) => {
    const nodes = ['http://10.0.0.1:8888', 'http://10.0.0.2:8888']
    const good = { table: [{ client_id: 'c1', mountpoint: '', user: 'u1' }] }
    const ask = async (url: unknown) => Response.json(String(url).startsWith(nodes[0]!) ? answer : good)
    const options = { apiKey: 'k', fetch: ask as typeof fetch }
    expect(await createVernemqAdmin({ ...options, nodes }).sessions()).toHaveLength(1)
    await expect(createVernemqAdmin({ ...options, nodes: nodes.slice(0, 1) }).sessions()).rejects.toMatchObject({
      message: `${nodes[0]}: ${problem}`,
      node: nodes[0],
      isPermanent: false,
    })
  })

  it('name the last node when all are down', async () => {
    const [admin, cluster] = await open(2)
    for (const node of cluster.nodes) await node.stop()
    const failure = await admin.disconnect({ clientId: 'c', mountpoint: '' }).catch(error => error)
    expect(failure).toMatchObject({ code: 'ERR_VERNEMQ_ADMIN', node: admin.nodes[1] })
    expect(failure.message).toMatch(/ got no answer: .*ECONNREFUSED/)
  })
})

describe('reauthorize', () => {
  it('names user, client and mountpoint', async () => {
    const [admin, cluster] = await open()
    await admin.reauthorize({ clientId: 'a b', username: 'u/1', mountpoint: 'mp' })
    expect(cluster.calls[0]!.path).toBe('/api/v1/session/reauthorize?username=u%2F1&client-id=a%20b&--mountpoint=mp')
  })

  it.each([{ username: 'a=b' }, { clientId: 'a"' }, { mountpoint: 'é' }])('cannot name %j', async odd => {
    const [admin] = await open()
    await expect(admin.reauthorize({ clientId: 'c', username: 'u', mountpoint: '', ...odd })).rejects.toMatchObject({
      isPermanent: true,
    })
  })
})

describe('sessions', () => {
  it.each(['u1', '101', '+5', 'true', 'a"b', 'ü', ''])(
    'finds those of user %j, whatever the query makes of the name',
    async username => {
      const [admin, cluster] = await open()
      seat(cluster, 'c1', username)
      seat(cluster, 'c2', username, 'mp')
      seat(cluster, 'c3', 'another')
      seat(cluster, 'c4', username, '', false)
      expect(await admin.sessions({ mountpoint: '', username })).toEqual([{ clientId: 'c1', mountpoint: '', username }])
    },
  )

  it('lists all, those that are not connected without a user name', async () => {
    const [admin, cluster] = await open()
    seat(cluster, 'c1')
    seat(cluster, 'c2', 'u2', 'mp', false)
    expect(await admin.sessions()).toEqual([
      { clientId: 'c1', mountpoint: '', username: 'u1' },
      { clientId: 'c2', mountpoint: 'mp', username: undefined },
    ])
  })

  it('refuses a list that may have been cut', async () => {
    const [admin, cluster] = await open(1, { maxSessions: 2 })
    seat(cluster, 'c1')
    expect(await admin.sessions()).toHaveLength(1)
    seat(cluster, 'c2')
    await expect(admin.sessions()).rejects.toThrow('there are more than "maxSessions" (2) sessions')
  })

  it('counts the nodes of the cluster', async () => {
    const [admin, cluster] = await open(2)
    cluster.hiddenNodes = 1
    expect(await admin.clusterSize(admin.nodes[0]!)).toBe(3)
  })
})

describe('options of createVernemqAdmin', () => {
  const nodes = ['http://127.0.0.1:8888']
  it.each<[object, string]>([
    [{ apiKey: 'k' }, '"nodes" option must be 1 to 256 origins, e.g. "http://10.0.0.1:8888", each once'],
    ...[[], ['x'], ['http://h/path'], ['ftp://h'], ['http://h', 'http://h/']].map((nodes): [object, string] => [
      { nodes, apiKey: 'k' },
      '"nodes" option must be 1 to 256 origins, e.g. "http://10.0.0.1:8888", each once',
    ]),
    [{ nodes }, '"apiKey" option must be printable ASCII without ":"'],
    [{ nodes, apiKey: 'a:b' }, '"apiKey" option must be printable ASCII without ":"'],
    [{ nodes, apiKey: 'k', timeoutMs: 1 }, '"timeoutMs" option must be an integer from 100 to 60000'],
    [{ nodes, apiKey: 'k', maxSessions: 0 }, '"maxSessions" option must be an integer from 1 to 1000000'],
    [{ nodes, apiKey: 'k', maxSessions: 1_000_001 }, '"maxSessions" option must be an integer from 1 to 1000000'],
    [{ nodes, apiKey: 'k', maxAnswerBytes: 1 }, '"maxAnswerBytes" option must be an integer from 1024 to 536870888'],
    [
      { nodes, apiKey: 'k', maxAnswerBytes: 536_870_889 },
      '"maxAnswerBytes" option must be an integer from 1024 to 536870888',
    ],
    [{ nodes, apiKey: 'k', fetch: 1 }, '"fetch" option must be a function'],
    [{ nodes, apiKey: 'k', key: 1 }, '"key" is not an option of createVernemqAdmin'],
  ])('refuses %j', (options, message) => {
    expect(() => createVernemqAdmin(options as VernemqAdminOptions)).toThrow(new TypeError(message))
  })
  it('takes as many bytes of an answer as there can be in one text', () => {
    expect(() => createVernemqAdmin({ nodes, apiKey: 'k', maxAnswerBytes: 536_870_888 })).not.toThrow()
  })
})
