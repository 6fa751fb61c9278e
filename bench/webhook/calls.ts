/** A call of VerneMQ that is measured. */
export interface Call {
  readonly name: string
  readonly hook: string
  /** The body, or what makes one for every request. */
  readonly body: string | (() => string)
}

/** The account of which both the calls and the record are. */
export const USERNAME = 'plant'
export const PASSWORD = 'correct horse battery staple'

const WHO = { username: USERNAME, mountpoint: '', client_id: 'dev17' }
const CONNECT = { ...WHO, peer_addr: '10.0.0.17', peer_port: 40_000, password: PASSWORD, clean_session: true }

export const PUBLISH: Call = {
  name: 'auth_on_publish',
  hook: 'auth_on_publish',
  body: JSON.stringify({
    ...WHO,
    qos: 1,
    topic: 'org/site9/dev17/temp/celsius',
    payload: Buffer.alloc(120, 'x').toString('base64'),
    retain: false,
  }),
}

let strangers = 0

/** Calls of less weight: a client makes one of each per connection. */
export const OTHERS: readonly Call[] = [
  {
    name: 'auth_on_subscribe',
    hook: 'auth_on_subscribe',
    body: JSON.stringify({ ...WHO, topics: [{ topic: 'org/site9/dev17/temp/#', qos: 1 }] }),
  },
  { name: 'auth_on_register, proven password', hook: 'auth_on_register', body: JSON.stringify(CONNECT) },
  {
    name: 'auth_on_register, unknown user',
    hook: 'auth_on_register',
    // Another one each time, or most would be refused for failing too often.
    body: () => JSON.stringify({ ...CONNECT, username: `stranger${strangers++}` }),
  },
]
