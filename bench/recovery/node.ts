// The node of the bench, as a process of its own: an authorizer on Redis with live sessions, and nothing of a broker.
import { createAuthorizer, type Session } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { acceptAll } from '../accounts.js'
import { LoopWatch } from '../broker/loop-watch.js'
import { answer, childArgument } from '../child.js'
import { LIMITS, RIGHT, usernameOf } from './accounts.js'

export interface NodeArgument {
  readonly url: string
  readonly accounts: number
  /** Sessions of each account, all on its one record. */
  readonly clients: number
}

/** What a node has seen since it was told to watch. */
export interface Seen {
  /** Sessions that are open, and those that decide by a record written since. */
  readonly left: number
  readonly followed: number
  /** Sessions that were cut, of accounts that were revoked and of others. */
  readonly cut: number
  readonly lost: number
  /** When a right that was taken was granted last, in milliseconds of the clock that all processes share; 0 for never. */
  readonly grantedAt: number
  /** Decisions asked for by clients that had the right, and those of them that were refused. */
  readonly asked: number
  readonly refused: number
  /** Most reads under way. */
  readonly reading: number
}

const LOGINS_AT_ONCE = 200
/** Time between two looks, in milliseconds, and the sessions asked at each. */
const LOOK_MS = 2
const ASKED = 100

const NOTHING: Seen = { left: 0, followed: 0, cut: 0, lost: 0, grantedAt: 0, asked: 0, refused: 0, reading: 0 }

const { url, accounts, clients } = childArgument<NodeArgument>()
const authorizer = createAuthorizer({ store: createRedisStore(url), hasher: acceptAll, ...LIMITS })
const loop = new LoopWatch()
/** By account. */
const sessions: Session[][] = Array.from({ length: accounts }, () => [])
let revoked: ReadonlySet<string> = new Set()
/** A session of each account that is revoked. */
let probes: readonly Session[] = []
let seen: { -readonly [K in keyof Seen]: Seen[K] } = { ...NOTHING }
let turn = 0

authorizer.on('error', () => {})
authorizer.on('changed', () => void seen.followed++)
authorizer.on('revoked', ({ principal }) => {
  if (revoked.has(principal.username)) seen.cut++
  else seen.lost++
})

async function logIn(account: number, client: number): Promise<void> {
  const who = { clientId: `${account}-${client}`, username: usernameOf(account) }
  const login = await authorizer.authenticate({ ...who, password: 'any' })
  if (!login.allow) throw new Error(`${who.clientId} was refused: ${login.reason}`)
  sessions[account]!.push(login.session)
}

/** The sessions in turn; those whose right was taken are asked every time. */
function look(): void {
  seen.reading = Math.max(seen.reading, authorizer.stats().loading)
  for (const session of probes) {
    const at = Number(process.hrtime.bigint()) / 1e6
    if (session.authorizePublish(RIGHT).allow) seen.grantedAt = at
  }
  for (let asked = 0; asked < ASKED; asked++, turn++) {
    const session = sessions[turn % accounts]![turn % clients]!
    if (session.revokeCause !== undefined || revoked.has(session.principal.username)) continue
    seen.asked++
    if (!session.authorizePublish(RIGHT).allow) seen.refused++
  }
}

answer({
  async logIn(): Promise<void> {
    await authorizer.ready()
    for (let at = 0; at < accounts * clients; at += LOGINS_AT_ONCE) {
      const some = Array.from({ length: LOGINS_AT_ONCE }, (_, more) => at + more)
      await Promise.all(some.map(one => logIn(one % accounts, Math.floor(one / accounts))))
    }
    setInterval(look, LOOK_MS)
  },
  /** Begins to watch, with these accounts about to be revoked. */
  watch(about: readonly number[]): void {
    revoked = new Set(about.map(usernameOf))
    probes = about.map(account => sessions[account]![0]!)
    seen = { ...NOTHING }
    loop.start()
  },
  seen: (): Seen => ({ ...seen, left: authorizer.stats().sessions }),
  /** The longest delay of the event loop since this was asked last, in nanoseconds. */
  delay(): number {
    const { max } = loop.stop()
    loop.start()
    return max
  },
  freshness: () => authorizer.freshness(),
})
