import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import {
  type Authorizer,
  type AuthorizerOptions,
  createAuthorizer,
  createMemoryStore,
  hashPassword,
  type RecordKey,
} from 'mqtt-warden'

const GUESSES_PER_SECOND = 1_000
const SECONDS = 6
/** How often a step comes, and how many steps pass between two logins of each kind. */
const STEP_MS = 10
const STEPS_TO_PROVEN = 10
const STEPS_TO_FIRST = 20

const STEPS = (SECONDS * 1_000) / STEP_MS
/** Rightful logins during one attack. */
export const PROVEN_LOGINS: number = STEPS / STEPS_TO_PROVEN
export const FIRST_LOGINS: number = STEPS / STEPS_TO_FIRST

/** Clients that come back again and again. */
const PROVEN_CLIENTS = 20

/** Who guesses at what. */
export interface Attack {
  readonly addresses: number
  readonly accounts: number
}

/** Rightful logins of one kind: how long those took that were let in, and why others were refused. */
export interface Logins {
  readonly ms: number[]
  readonly refused: string[]
}

/** What was seen of one attack. */
export interface Observation {
  readonly proven: Logins
  readonly first: Logins
  readonly loopP99Ms: number
}

const passhash = await hashPassword('right', { cost: 10 })
const record = { passhash, publishAcl: [], subscribeAcl: [] }

/** Every client has an account of its own; those that guess have none, and take the names of others. */
function keyOf(kind: 'target' | 'proven' | 'first', n: number): RecordKey {
  return { mountpoint: '', clientId: `${kind} ${n}`, username: `${kind} ${n}` }
}

/** Logs in from an address of its own. */
async function connect(authorizer: Authorizer, key: RecordKey, logins: Logins): Promise<void> {
  const begun = performance.now()
  const outcome = await authorizer.authenticate({ ...key, password: 'right', address: `home of ${key.clientId}` })
  if (!outcome.allow) {
    logins.refused.push(outcome.reason)
    return
  }
  logins.ms.push(performance.now() - begun)
  outcome.session.close()
}

/**
 * A thousand wrong passwords a second, all different, while clients log in whose passwords were proven before the attack,
 * and others that have never been seen. Guesses that still wait when the last of these has its answer are let go.
 */
export async function attack(
  { addresses, accounts }: Attack,
  options: Partial<AuthorizerOptions>,
): Promise<Observation> {
  const keys = [
    ...Array.from({ length: accounts }, (_, n) => keyOf('target', n)),
    ...Array.from({ length: PROVEN_CLIENTS }, (_, n) => keyOf('proven', n)),
    ...Array.from({ length: FIRST_LOGINS }, (_, n) => keyOf('first', n)),
  ]
  const authorizer = createAuthorizer({ store: createMemoryStore(keys.map(key => [key, record] as const)), ...options })
  const proven: Logins = { ms: [], refused: [] }
  const first: Logins = { ms: [], refused: [] }
  const before: Logins = { ms: [], refused: [] }
  for (let n = 0; n < PROVEN_CLIENTS; n++) await connect(authorizer, keyOf('proven', n), before)

  const loop = monitorEventLoopDelay({ resolution: 5 })
  loop.enable()
  const logins: Promise<void>[] = []
  const begun = performance.now()
  let guesses = 0
  for (let step = 0; step < STEPS; step++) {
    await pause(Math.max(0, begun + step * STEP_MS - performance.now()))
    for (let n = 0; n < (GUESSES_PER_SECOND * STEP_MS) / 1_000; n++, guesses++) {
      // Moves on by one with every round of the addresses, so that every account is guessed at from all of them.
      const key = keyOf('target', (guesses + Math.floor(guesses / addresses)) % accounts)
      const address = `attacker ${guesses % addresses}`
      void authorizer.authenticate({ ...key, password: `guess ${guesses}`, address })
    }
    if (step % STEPS_TO_PROVEN === 0) {
      logins.push(connect(authorizer, keyOf('proven', (step / STEPS_TO_PROVEN) % PROVEN_CLIENTS), proven))
    }
    if (step % STEPS_TO_FIRST === 0) logins.push(connect(authorizer, keyOf('first', step / STEPS_TO_FIRST), first))
  }
  await Promise.all(logins)
  loop.disable()
  await authorizer.close()
  return { proven, first, loopP99Ms: loop.percentile(99) / 1e6 }
}
