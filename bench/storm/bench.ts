import type { BrokerKind } from '../broker/types.js'
import { plot } from '../plot.js'
import { atLeast, atMost, find, ratio, show, showSpread, spread, told } from '../stats.js'
import type { Bench, Budget, Label, Measured, Sample, Series } from '../types.js'
import { cheapPasshashes, type Observation, passhashes, Site } from './site.js'

const NONE = 'no auth'
const OWN = 'mqtt-warden'
const INLINE = 'bcryptjs inline'
const MANY = 1_000
const FEW = 200
/**
 * Pairs of brokers for the reconnects: of two that run the same code, one is faster by a tenth for as long as it runs, so
 * that more pairs say more than more rounds do.
 */
const PAIRS = 25
/** Reconnects of a thousand of each pair; those before that are not counted, the first logins among them. */
const ROUNDS = 8
const STORMS_BEFORE = 15
/** Storms of a few first logins, each against brokers that are new. */
const FEW_ROUNDS = 3
/** When a thousand clients of a broker that hashes on its main thread are given up. */
const INLINE_LIMIT_MS = 20_000

const FIRST = 'first login'
const PROVEN = 'password proven before'
const RATE = 'logins a second'
const CPU = 'processor time of the broker a login'
const P99 = 'event-loop delay, p99'
const MAX = 'event-loop delay, longest'
const PING = 'longest wait of a bystander for a PINGRESP'
const LOST = 'bystanders lost, of 100'
const FAILURES = 'logins refused or cut, and tried again'
const CONNECTED = 'clients logged in'

/** Collects figures by what they say. */
class Sheet {
  readonly #samples: Map<string, { of: Label; rounds: number[] }> = new Map()
  readonly series: Series[] = []

  get samples(): Sample[] {
    return [...this.#samples.values()]
  }

  note(subject: string, column: string, { storm, bystanders, delays, cpu }: Observation): void {
    const logins = storm.connectedAt.length
    this.#add(RATE, column, subject, '/s', logins / storm.seconds)
    if (!Number.isNaN(cpu)) this.#add(CPU, column, subject, 'ns', (cpu * 1e3) / logins)
    // Unknown of a broker that was stuck to the end.
    if (!Number.isNaN(delays.p99)) this.#add(P99, column, subject, 'ns', delays.p99)
    this.#add(MAX, column, subject, 'ns', delays.max)
    this.#add(PING, column, subject, 'ns', bystanders.longestMs * 1e6)
    this.#add(LOST, column, subject, 'count', bystanders.lost)
    this.#add(FAILURES, column, subject, 'count', storm.failures)
  }

  /** Keeps how an observation went on over time. */
  follow(subject: string, { storm, delays }: Observation): void {
    const points = storm.connectedAt.map((seconds, at) => [seconds, at + 1] as const)
    const end = [storm.seconds, points.length] as const
    this.series.push({ panel: CONNECTED, subject, points: [...points.slice(0, 1), ...thinned(points), end] })
    this.series.push({ panel: MAX, subject, points: delays.course })
  }

  #add(scenario: string, column: string, subject: string, unit: Label['unit'], value: number): void {
    const key = JSON.stringify([scenario, column, subject])
    const sample = this.#samples.get(key) ?? { of: { scenario, column, subject, unit }, rounds: [] }
    sample.rounds.push(value)
    this.#samples.set(key, sample)
  }
}

function thinned<T>(points: readonly T[]): T[] {
  const step = Math.ceil(points.length / 200)
  return points.filter((_, at) => at % step === step - 1)
}

function columnOf(count: number, what: string): string {
  return `${count.toLocaleString('en')} clients, ${what}`
}

/** First logins, each on a broker that has not seen the clients before. */
async function firstLogins(sheet: Sheet, subject: string, kind: BrokerKind, count: number): Promise<void> {
  const site = await Site.open(kind)
  try {
    const seen = await site.storm(count, subject === INLINE && count === MANY ? { limitMs: INLINE_LIMIT_MS } : {})
    sheet.note(subject, columnOf(count, FIRST), seen)
    if (count === MANY) sheet.follow(`${subject}, ${FIRST}`, seen)
  } finally {
    await site.close()
  }
}

/**
 * A network that fails for a moment, again and again: all clients of a broker that has been up for some time lose their
 * connections, and come back. In turn with one that asks nobody, and that has taken in every client as often.
 */
async function reconnects(sheet: Sheet, isFollowed: boolean): Promise<void> {
  const none = await Site.open({ auth: 'none' })
  const own = await Site.open({ auth: 'warden passwords', passhashes: cheapPasshashes })
  const sites = [[NONE, none] as const, [OWN, own] as const]
  try {
    for (let storms = 0; storms < STORMS_BEFORE; storms++) {
      for (const [, site] of sites) await site.storm(MANY, { isAwake: true })
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const [subject, site] of round % 2 === 0 ? sites : sites.toReversed()) {
        const seen = await site.storm(MANY, { isAwake: true })
        sheet.note(subject, columnOf(MANY, PROVEN), seen)
        if (isFollowed && round === 0) sheet.follow(subject === OWN ? `${OWN}, proven` : NONE, seen)
      }
    }
  } finally {
    await none.close()
    await own.close()
  }
}

async function measure(): Promise<Measured> {
  const sheet = new Sheet()
  for (let pair = 0; pair < PAIRS; pair++) await reconnects(sheet, pair === 0)
  await firstLogins(sheet, OWN, { auth: 'warden passwords', passhashes }, MANY)
  for (let round = 0; round < FEW_ROUNDS; round++) {
    await firstLogins(sheet, NONE, { auth: 'none' }, FEW)
    await firstLogins(sheet, OWN, { auth: 'warden passwords', passhashes }, FEW)
  }
  await firstLogins(sheet, INLINE, { auth: 'bcryptjs', passhashes }, FEW)
  await firstLogins(sheet, INLINE, { auth: 'bcryptjs', passhashes }, MANY)
  return sheet
}

function budgets(samples: readonly Sample[]): Budget[] {
  const of = (scenario: string, column: string, subject: string) => find(samples, { scenario, column, subject })
  const figure = (scenario: string, column: string, subject: string) => {
    const sample = of(scenario, column, subject)
    return show(spread(sample.rounds).median, sample.of.unit)
  }
  const [first, few, proven] = [columnOf(MANY, FIRST), columnOf(FEW, FIRST), columnOf(MANY, PROVEN)]

  return [
    atLeast(0.9, {
      what: 'aedes, 1,000 clients reconnect at once, passwords proven before: logins a second against no auth',
      measured: ratio(of(RATE, proven, OWN), of(RATE, proven, NONE)),
      unit: '×',
      peer: `${NONE} ${figure(RATE, proven, NONE)}; ${INLINE} ${figure(RATE, few, INLINE)}`,
      whenMissed: 'a login proves the password by an HMAC, opens a session and settles who owns the client id.',
    }),
    told(
      'the same: processor time of the broker a login, connecting included (addresses are noted a second later); share that it takes without auth',
      `${figure(CPU, proven, OWN)}; ${showSpread(ratio(of(CPU, proven, NONE), of(CPU, proven, OWN)), '×')}`,
      `${NONE} ${figure(CPU, proven, NONE)}`,
    ),
    atMost(30e6, {
      what: 'aedes, 1,000 clients log in for the first time (bcrypt, cost 10): event-loop delay, p99',
      measured: spread(of(P99, first, OWN).rounds),
      unit: 'ns',
      peer: `${NONE}, reconnects ${figure(P99, proven, NONE)}`,
      whenMissed: 'the threads that hash compete with the event loop for the processors.',
    }),
    atMost(30e6, {
      what: 'aedes, 200 clients log in for the first time: longest event-loop delay',
      measured: spread(of(MAX, few, OWN).rounds),
      unit: 'ns',
      peer: `${NONE} ${figure(MAX, few, NONE)}; ${INLINE} ${figure(MAX, few, INLINE)}`,
      whenMissed: `taking in 200 connections alone, without a password, takes a new broker ${figure(MAX, few, NONE)}.`,
    }),
    atMost(0, {
      what: 'connected clients lost to their keep-alive (5 s) while 1,000 others log in for the first time, of 100',
      measured: spread(of(LOST, first, OWN).rounds),
      unit: 'count',
      peer: `${INLINE}, with 200 others: ${figure(LOST, few, INLINE)}`,
      whenMissed: 'the event loop stood still for longer than one and a half keep-alives.',
    }),
  ]
}

/** The storms over time. */
function draw({ series = [] }: Measured): Readonly<Record<string, string>> {
  const lines = (panel: string) => series.filter(one => one.panel === panel).map(one => ({ ...one, name: one.subject }))
  const x = { label: 'seconds since all clients connected at once', scale: 'log', show: String } as const
  const clients = { label: 'clients', scale: 'linear', show: (value: number) => value.toLocaleString('en') } as const
  const delay = { label: 'delay', scale: 'log', show: (value: number) => show(value, 'ns') } as const
  const panels = [
    { title: '1,000 clients that come back at once: logged in', x, y: clients, lines: lines(CONNECTED) },
    { title: 'Longest event-loop delay of the broker meanwhile', x, y: delay, lines: lines(MAX) },
  ]
  return { 'storm.svg': plot('A reconnect storm of 1,000 clients', panels) }
}

/** What becomes of a broker, and of the clients it has, when very many come back at once. */
export const stormBench: Bench = { packages: ['aedes', 'bcryptjs'], measure, budgets, draw }
