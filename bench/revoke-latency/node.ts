// A node of the bench, as a process of its own: an authorizer on Redis with live sessions, and nothing of a broker.
import { createAuthorizer, type Session } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { acceptAll } from '../accounts.js'
import { answer, childArgument, tell } from '../child.js'

export interface NodeArgument {
  readonly url: string
  /** Sessions that have a record of their own: clients `exact-0` and so on. */
  readonly exact: number
  /** Sessions on one record for every client id: `role-0` and so on. */
  readonly role: number
}

/** What a node tells: it has followed a write, at this moment of the clock that all processes share. */
export interface Followed {
  /** Client id of a session with a record of its own; `undefined` when it was the last one of the role. */
  readonly clientId: string | undefined
  /** Whether the client may publish from then on. */
  readonly isAllowed: boolean
  readonly at: bigint
}

/** Decisions each millisecond while under load. */
const DECISIONS_A_MS = 500
const LOGINS_AT_ONCE = 100
/** The right that writes of this bench take away. */
const TOPIC = 'probe/value'

const { url, exact, role } = childArgument<NodeArgument>()
const authorizer = createAuthorizer({ store: createRedisStore(url), hasher: acceptAll })
/** Sessions of the role that have followed the latest write, by what it says. */
const followers = { allowed: 0, denied: 0 }
let timer: NodeJS.Timeout | undefined

authorizer.on('revoked', ({ session }) => follow(session))
authorizer.on('changed', ({ session }) => follow(session))

function follow(session: Session): void {
  const at = process.hrtime.bigint()
  const { clientId } = session.principal
  const isAllowed = session.authorizePublish(TOPIC).allow
  if (clientId.startsWith('exact-')) tell({ clientId, isAllowed, at } satisfies Followed)
  else if (++followers[isAllowed ? 'allowed' : 'denied'] % role === 0) {
    tell({ clientId: undefined, isAllowed, at } satisfies Followed)
  }
}

async function logIn(clientId: string): Promise<void> {
  const login = await authorizer.authenticate({ clientId, username: 'device', password: 'any' })
  if (!login.allow) throw new Error(`${clientId} was refused: ${login.reason}`)
}

/** Messages that have nothing to do with the writes, judged at an even pace. */
function decide(): void {
  // The last ones: the first are those whose rights are taken away.
  const sessions = [...authorizer.sessions()].slice(-1_000)
  let turn = 0
  timer = setInterval(() => {
    for (let done = 0; done < DECISIONS_A_MS; done++, turn++) {
      sessions[turn % sessions.length]!.authorizePublish(`fleet/${turn % 50}/temp/celsius`, {
        qos: 1,
        payloadSize: 120,
      })
    }
  }, 1)
}

answer({
  async logIn(): Promise<void> {
    await authorizer.ready()
    const names = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name}-${at}`)
    const all = [...names('exact', exact), ...names('role', role)]
    while (all.length > 0) await Promise.all(all.splice(0, LOGINS_AT_ONCE).map(logIn))
  },
  sessions: () => authorizer.stats().sessions,
  setLoad(isOn: boolean): void {
    clearInterval(timer)
    if (isOn) decide()
  },
})
