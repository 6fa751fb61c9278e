import { atMost, show, spread, told } from '../stats.js'
import type { Budget, Label, Measured, Sample, Unit } from '../types.js'
import { type Course, type Outage, Site } from './outage.js'

const OWN = 'mqtt-warden'
const ACCOUNTS = 20_000
const CLIENTS = 5

const OUTAGES: readonly Outage[] = [
  { how: 'cut', ms: 2_000 },
  { how: 'cut', ms: 10_000 },
  { how: 'frozen', ms: 10_000 },
  { how: 'cut', ms: 18_000 },
]

const FRESH = 'until all decide by what was written meanwhile'
const DELAY = 'event-loop delay, longest'
const LOST = 'sessions lost that have their right'

/** Every figure, by its name. */
const FIGURES: readonly (readonly [scenario: string, unit: Unit, of: (course: Course) => number])[] = [
  ['until the link is live', 'ns', ({ live }) => live],
  [FRESH, 'ns', ({ fresh }) => fresh],
  [`${DELAY}, during the outage`, 'ns', ({ delayOut }) => delayOut],
  [`${DELAY}, from its end on`, 'ns', ({ delayBack }) => delayBack],
  ['reads under way, most', 'count', ({ seen }) => seen.reading],
  ['commands at Redis a second, most', '/s', ({ peak }) => peak],
  ['commands at Redis, in all', 'count', ({ commands }) => commands],
  ['longest survival of a right that was revoked', 'ns', ({ survived }) => survived],
  ['share of decisions refused to those who have the right', '×', ({ seen }) => seen.refused / seen.asked],
  [LOST, 'count', ({ seen }) => seen.lost],
]

function columnOf({ how, ms }: Outage): string {
  return `${how} for ${ms / 1_000} s`
}

/** What becomes of very many sessions when Redis goes away and comes back. */
export async function measure(): Promise<Measured> {
  const samples: Sample[] = []
  const site = await Site.open(ACCOUNTS, CLIENTS)
  try {
    for (const outage of OUTAGES) {
      const course = await site.suffer(outage)
      if (course.survived > course.bound) throw new Error(`${columnOf(outage)}: a right outlived the bound`)
      for (const [scenario, unit, of] of FIGURES) {
        const label: Label = { scenario, column: columnOf(outage), subject: OWN, unit }
        samples.push({ of: label, rounds: [of(course)] })
      }
    }
  } finally {
    await site.close()
  }
  return { samples }
}

/** What is demanded of it. */
export function budgets(samples: readonly Sample[]): Budget[] {
  const all = (scenario: string): number[] =>
    samples.filter(({ of }) => of.scenario.startsWith(scenario)).flatMap(({ rounds }) => rounds)
  const worst = (scenario: string) => spread([Math.max(...all(scenario))])
  return [
    atMost(0, {
      what: '100,000 sessions whose Redis is away for a time: sessions lost that have their right',
      measured: worst(LOST),
      unit: 'count',
      whenMissed: 'a session was taken for revoked that is not.',
    }),
    atMost(30e6, {
      what: 'the same: longest delay of the event loop, in the outage and after it',
      measured: worst(DELAY),
      unit: 'ns',
      whenMissed:
        'Redis, the line and who looks on share the processors with the node; collecting garbage of 100,000 sessions takes its part.',
    }),
    told(
      'the same: until all sessions decide by what was written meanwhile',
      all(FRESH)
        .map(time => show(time, 'ns'))
        .join(', '),
    ),
  ]
}
