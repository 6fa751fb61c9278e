// How long rightful clients wait to log in while others guess passwords, and how long the event loop stands still while
// first-time logins hash: `npx tsx bench/guessing/run.ts`, after `npm run build:js`. Prints, and keeps nothing.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { type AuthorizerOptions, createAuthorizer, createMemoryStore, hashPassword } from 'mqtt-warden'

const GUESSES_PER_SECOND = 1_000
const SECONDS = 10
const ACCOUNTS = 1_000

const passhash = await hashPassword('right', { cost: 10 })
const keyOf = (n: number) => ({ mountpoint: '', clientId: `c${n}`, username: `u${n}` })
const record = { passhash, publishAcl: [], subscribeAcl: [] }
const entries = Array.from({ length: ACCOUNTS }, (_, n) => [keyOf(n), record] as const)

function percentile(sorted: readonly number[], share: number): string {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return value === undefined ? '–' : `${value.toFixed(1)} ms`
}

/** Logs in one account and notes how long that took, or why it was refused. */
function clientOf(authorizer: ReturnType<typeof createAuthorizer>) {
  const times: number[] = []
  const refused: Record<string, number> = {}
  const connect = async (n: number) => {
    const begun = performance.now()
    const outcome = await authorizer.authenticate({ ...keyOf(n), password: 'right', address: `192.0.2.${n % 250}` })
    if (outcome.allow) {
      times.push(performance.now() - begun)
      outcome.session.close()
    } else refused[outcome.reason] = (refused[outcome.reason] ?? 0) + 1
  }
  const report = () => {
    times.sort((a, b) => a - b)
    const spread = `p50 ${percentile(times, 0.5)}, p99 ${percentile(times, 0.99)}`
    return `${times.length} let in, ${spread}, refused ${JSON.stringify(refused)}`
  }
  return { connect, report }
}

async function attack(title: string, options: Partial<AuthorizerOptions>): Promise<void> {
  const authorizer = createAuthorizer({ store: createMemoryStore(entries), ...options })
  const [proven, fresh] = [clientOf(authorizer), clientOf(authorizer)]
  for (let n = 0; n < 50; n++) await clientOf(authorizer).connect(n)
  const loop = monitorEventLoopDelay({ resolution: 5 })
  loop.enable()
  const reasons: Record<string, number> = {}
  const logins: Promise<void>[] = []
  let guesses = 0
  const guess = async () => {
    const n = guesses++
    // Twenty addresses guess a hundred accounts, fifty of which belong to the clients that come back.
    const address = `198.51.100.${n % 20}`
    const outcome = await authorizer.authenticate({ ...keyOf(n % 100), password: `guess ${n}`, address })
    const reason = outcome.allow ? 'allowed' : outcome.reason
    reasons[reason] = (reasons[reason] ?? 0) + 1
  }
  const begun = performance.now()
  for (let tick = 0; tick < SECONDS * 100; tick++) {
    await pause(Math.max(0, begun + tick * 10 - performance.now()))
    for (let n = 0; n < GUESSES_PER_SECOND / 100; n++) logins.push(guess())
    if (tick % 5 === 0) logins.push(proven.connect(tick % 50))
    if (tick % 20 === 0) logins.push(fresh.connect(100 + tick / 20))
  }
  await Promise.all(logins)
  loop.disable()
  console.log(`${title}: ${guesses} guesses in ${((performance.now() - begun) / 1_000).toFixed(1)} s`)
  console.log(`  guesses          ${JSON.stringify(reasons)}`)
  console.log(`  proven before    ${proven.report()}`)
  console.log(`  first login      ${fresh.report()}`)
  console.log(
    `  event loop       p99 ${(loop.percentile(99) / 1e6).toFixed(1)} ms, max ${(loop.max / 1e6).toFixed(1)} ms\n`,
  )
  await authorizer.close()
}

async function storm(hasher: 'native' | undefined): Promise<void> {
  const options = { store: createMemoryStore(entries), connectTimeoutMs: 60_000, ...(hasher && { hasher }) }
  const authorizer = createAuthorizer(options)
  const { connect, report } = clientOf(authorizer)
  await connect(999)
  const loop = monitorEventLoopDelay({ resolution: 5 })
  loop.enable()
  await pause(50)
  await Promise.all(Array.from({ length: 200 }, (_, n) => connect(n)))
  loop.disable()
  console.log(`200 first logins at once, ${hasher ?? 'bcryptjs in threads'}: ${report()}`)
  console.log(
    `  event loop       p99 ${(loop.percentile(99) / 1e6).toFixed(1)} ms, max ${(loop.max / 1e6).toFixed(1)} ms\n`,
  )
  await authorizer.close()
}

await attack('throttled', {})
await attack('not throttled', { throttle: false })
await storm(undefined)
await storm('native')
