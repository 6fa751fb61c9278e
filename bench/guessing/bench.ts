import type { AuthorizerOptions } from 'mqtt-warden'
import { atMost, find, percentile, show, spread, told } from '../stats.js'
import type { Bench, Budget, Label, Measured, Sample } from '../types.js'
import { type Attack, attack, FIRST_LOGINS, type Logins, PROVEN_LOGINS } from './attack.js'

const OWN = 'mqtt-warden'
const UNTHROTTLED = 'mqtt-warden, throttle: false'
const SUBJECTS: Readonly<Record<string, Partial<AuthorizerOptions>>> = {
  [OWN]: {},
  [UNTHROTTLED]: { throttle: false },
}

const ATTACK: Attack = { addresses: 100, accounts: 1_000 }
const COLUMN = '100 addresses, 1,000 accounts'

const FIRST = 'first login'
const PROVEN = 'password proven before'
const COUNTS: Readonly<Record<string, number>> = { [FIRST]: FIRST_LOGINS, [PROVEN]: PROVEN_LOGINS }

function refusedOf(kind: string): string {
  return `${kind}: refused, of ${COUNTS[kind]}`
}

function samplesOf(kind: string, of: Pick<Label, 'column' | 'subject'>, { ms, refused }: Logins): Sample[] {
  const time = (share: number) => [percentile(ms, share) * 1e6]
  return [
    { of: { scenario: refusedOf(kind), ...of, unit: 'count' }, rounds: [refused.length] },
    // Unknown where nobody was let in.
    ...(ms.length === 0
      ? []
      : [
          { of: { scenario: `${kind}: p50`, ...of, unit: 'ns' } as const, rounds: time(0.5) },
          { of: { scenario: `${kind}: p99`, ...of, unit: 'ns' } as const, rounds: time(0.99) },
        ]),
  ]
}

async function measure(): Promise<Measured> {
  const samples: Sample[] = []
  for (const [subject, options] of Object.entries(SUBJECTS)) {
    const of = { column: COLUMN, subject }
    const { proven, first, loopP99Ms } = await attack(ATTACK, options)
    samples.push(...samplesOf(FIRST, of, first), ...samplesOf(PROVEN, of, proven))
    samples.push({ of: { scenario: 'event-loop delay, p99', ...of, unit: 'ns' }, rounds: [loopP99Ms * 1e6] })
  }
  return { samples }
}

function budgets(samples: readonly Sample[]): Budget[] {
  const column = COLUMN
  const of = (scenario: string, subject: string) =>
    samples.some(({ of }) => of.scenario === scenario && of.column === column && of.subject === subject)
      ? spread(find(samples, { scenario, column, subject }).rounds)
      : spread([])
  const attacked = '1,000 guesses a second from 100 addresses at 1,000 accounts'
  const refused = (kind: string, whenMissed: string) =>
    atMost(0, {
      what: `${attacked}: clients refused, ${kind}, of ${COUNTS[kind]}`,
      measured: of(refusedOf(kind), OWN),
      unit: 'count',
      peer: `${UNTHROTTLED} ${show(of(refusedOf(kind), UNTHROTTLED).median, 'count')}`,
      whenMissed,
    })
  const times = (subject: string) =>
    ['p50', 'p99'].map(share => `${share} ${show(of(`${FIRST}: ${share}`, subject).median, 'ns')}`).join(', ')
  return [
    refused(PROVEN, 'a proven password asks for no hash, so the event loop itself stood still.'),
    refused(FIRST, 'the threads compute too few hashes in the time for a login.'),
    told(`${attacked}: time that a ${FIRST} takes`, times(OWN), `${UNTHROTTLED} ${times(UNTHROTTLED)}`),
  ]
}

/** What becomes of rightful logins while others guess passwords. */
export const guessingBench: Bench = { packages: ['bcryptjs'], measure, budgets }
