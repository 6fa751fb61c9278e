import { describe, expect, it } from 'vitest'
import { readUrl } from '../../src/redis/url.js'

const TLS = { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }

describe('the URL of a Redis', () => {
  it('is read by ioredis where it names one server', () => {
    expect(readUrl('redis://user:p%40ss@h:6380/3?family=6')).toMatchObject({
      kind: 'single',
      options: { host: 'h', port: 6380, username: 'user', password: 'p@ss', db: 3, family: 6 },
    })
    expect(readUrl('rediss://h')).toMatchObject({ kind: 'single', options: { host: 'h', port: 6379, tls: true } })
  })

  it.each([
    ['redis+sentinel://a/main', { sentinels: [{ host: 'a', port: 26_379 }], name: 'main', db: 0 }],
    [
      'redis+sentinel://u:p%2C%40@a:1,[::1]:2,10.0.0.1/the%20main/3',
      {
        sentinels: [
          { host: 'a', port: 1 },
          { host: '::1', port: 2 },
          { host: '10.0.0.1', port: 26_379 },
        ],
        name: 'the main',
        db: 3,
        username: 'u',
        password: 'p,@',
      },
    ],
    [
      'rediss+sentinel://:pass@a/main?sentinelPassword=x%26y&sentinelUsername=guard',
      {
        sentinels: [{ host: 'a', port: 26_379 }],
        name: 'main',
        db: 0,
        password: 'pass',
        ...TLS,
        sentinelPassword: 'x&y',
        sentinelUsername: 'guard',
      },
    ],
  ])('names a master by its sentinels: %s', (url, options) => {
    expect(readUrl(url)).toEqual({ kind: 'single', options })
  })

  it.each([
    ['redis+cluster://a', [{ host: 'a', port: 6379 }], {}],
    [
      'rediss+cluster://u:p@a:7000,b:7001/0',
      [
        { host: 'a', port: 7000 },
        { host: 'b', port: 7001 },
      ],
      { username: 'u', password: 'p', tls: {} },
    ],
  ])('names where to begin with a Cluster: %s', (url, nodes, options) => {
    expect(readUrl(url)).toEqual({ kind: 'cluster', nodes, options })
  })

  it.each([
    ['', 'must be redis://host:6379, '],
    ['secret', 'must be redis://host:6379, '],
    ['redis://:::secret', 'must be redis://host:6379, '],
    ['redis-sentinel://secret:1/main', 'must be redis://host:6379, '],
    ['redis://h:1/secret', 'must name its database by number'],
    ['redis://u:secret#1@h', 'must be redis://host:6379, '],
    ['redis://u:%E0secret@h', 'must have its user name and password percent-encoded'],
    ['redis://a:1,secret:2', 'names several servers: begin it with redis+sentinel:// or redis+cluster://'],
    ['redis+sentinel://secret:1', 'must name the master after its sentinels: redis+sentinel://'],
    ['redis+sentinel://secret:1/', 'must name the master after its sentinels: redis+sentinel://'],
    ['redis+sentinel://h:1/main/secret', 'must name its database by number, after the name of the master'],
    ['redis+sentinel://h:1/main/0/secret', 'must name its database by number, after the name of the master'],
    ['redis+sentinel://h:1/%E0secret', 'must have its user name and password percent-encoded'],
    ['redis+sentinel:///secret', 'must list its hosts as host:port, with commas between them'],
    ['redis+sentinel://a,,secret/main', 'must list its hosts as host:port, with commas between them'],
    ['redis+sentinel://a:0,secret/main', 'must list its hosts as host:port, with commas between them'],
    ['redis+sentinel://a:65536,secret/main', 'must list its hosts as host:port, with commas between them'],
    [
      'redis+sentinel://a/main?password=secret',
      'may have no other parameters than sentinelUsername and sentinelPassword',
    ],
    ['redis+cluster://a:x,secret', 'must list its hosts as host:port, with commas between them'],
    ['redis+cluster://::1,secret', 'must list its hosts as host:port, with commas between them'],
    ['redis+cluster://secret/1', 'must not name a database: a Cluster has database 0 alone'],
    ['redis+cluster://secret?password=x', 'must not have parameters: a Cluster has none'],
    ['redis+cluster://u:%E0secret@h', 'must have its user name and password percent-encoded'],
  ])('is refused without being shown: %s', (url, message) => {
    const refused = expect.stringMatching(new RegExp(`^the URL ${message.replace(/[+?*.]/g, '\\$&')}`))
    expect(() => readUrl(url, 'the URL')).toThrow(expect.objectContaining({ name: 'TypeError', message: refused }))
    expect(() => readUrl(url, 'the URL')).not.toThrow('secret')
  })
})
