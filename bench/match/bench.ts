import matchLevels from 'mqtt-match'
import { type CompiledAcl, compileAcl } from 'mqtt-warden/acl'
import { QlobberTrue } from 'qlobber'
import { type Case, measure, ratio, type Sample, type Spread, spread } from '../harness.js'
import { type Budget, nanoseconds, spreadOf, times } from '../table.js'

const OWN = 'mqtt-warden'
const LOOP = 'mqtt-match loop'
const QLOBBER = 'qlobber test'
const COUNTS = [1, 10, 100, 1_000, 10_000]

const HIT = 'publish, last rule'
const LATE_MISS = 'publish, late miss'
const EARLY_MISS = 'publish, early miss'
const VARIABLE = 'publish, %c rule'
const HOSTILE = 'publish, 65,535 slashes'
const SUBSCRIBE = 'subscribe, last rule'
const UNION = 'subscribe, union'
const TOO_WIDE = 'subscribe, too wide'
const RECEIVE = 'receive, last rule'

const principal = { mountpoint: '', clientId: 'dev17', username: 'plant' }
const facts = { qos: 1, retain: false, payloadSize: 120 } as const

/** As many different texts as a broker may see between two collections of garbage, decoded as it decodes them. */
const TEXTS = 64

function texts(make: (at: number) => string): readonly string[] {
  return Array.from({ length: TEXTS }, (_, at) => Buffer.from(make(at)).toString())
}

/** The subjects with `count` rules `org/site{i}/+/temp/#`. */
class Subjects {
  readonly column: string
  readonly patterns: readonly string[]
  readonly acl: CompiledAcl
  readonly #qlobber = new QlobberTrue({
    separator: '/',
    wildcard_one: '+',
    wildcard_some: '#',
    match_empty_levels: true,
    max_words: 70_000,
  })

  constructor(count: number, patterns = Array.from({ length: count }, (_, at) => `org/site${at}/+/temp/#`)) {
    this.column = count.toLocaleString('en')
    this.patterns = patterns
    const rules = patterns.map(pattern => ({ pattern }))
    this.acl = compileAcl({ publishAcl: rules, subscribeAcl: rules })
    for (const pattern of patterns) this.#qlobber.add(pattern)
  }

  loop(text: string): boolean {
    for (const pattern of this.patterns) if (matchLevels(pattern, text)) return true
    return false
  }

  qlobber(text: string): boolean {
    return this.#qlobber.test(text)
  }

  /** What we decide, and what the peers answer for the same text. */
  cases(scenario: string, some: readonly string[], decide: (text: string) => boolean, peers = true): Case[] {
    const make = (subject: string, answer: (text: string) => boolean): Case => ({
      scenario,
      column: this.column,
      subject,
      run: turn => answer(some[turn % some.length]!),
    })
    const own = make(OWN, decide)
    return peers ? [own, make(LOOP, text => this.loop(text)), make(QLOBBER, text => this.qlobber(text))] : [own]
  }
}

function casesFor(count: number): Case[] {
  const all = new Subjects(count)
  const { acl } = all
  const last = count - 1
  const publish = (text: string) => acl.authorizePublish(principal, text, facts).allow
  const receive = (text: string) => acl.authorizeReceive(principal, text).allow
  const subscribe = (text: string) => acl.authorizeSubscribe(principal, text, facts).allow
  const hits = texts(at => `org/site${last}/dev${at}/temp/celsius`)
  const parts = ['plant', 'plant/+/#'].map(pattern => ({ pattern }))
  const union = compileAcl({
    publishAcl: [],
    subscribeAcl: [...all.patterns.slice(0, count - 2).map(pattern => ({ pattern })), ...parts],
  })
  return [
    ...all.cases(HIT, hits, publish),
    ...all.cases(
      LATE_MISS,
      texts(at => `org/site${last}/dev${at}/hum/percent`),
      publish,
    ),
    ...all.cases(
      EARLY_MISS,
      texts(at => `other/site${last}/dev${at}/temp/celsius`),
      publish,
    ),
    ...all.cases(RECEIVE, hits, receive, false),
    ...all.cases(
      SUBSCRIBE,
      texts(at => `org/site${last}/dev${at}/temp/#`),
      subscribe,
    ),
    ...all.cases(
      TOO_WIDE,
      texts(at => `org/site${last}/dev${at}/#`),
      subscribe,
    ),
    ...(count < 2
      ? []
      : all.cases(UNION, ['plant/#'], text => union.authorizeSubscribe(principal, text, facts).allow, false)),
    ...variableCase(all),
    ...hostileCases(all),
  ]
}

function variableCase(all: Subjects): Case[] {
  const rules = [...all.patterns.slice(1), 'fleet/%c/#'].map(pattern => ({ pattern }))
  const acl = compileAcl({ publishAcl: rules, subscribeAcl: [] })
  const own = texts(at => `fleet/dev17/temp/sensor${at}`)
  return all.cases(VARIABLE, own, text => acl.authorizePublish(principal, text, facts).allow, false)
}

function hostileCases(all: Subjects): Case[] {
  const slashes = '/'.repeat(65_535)
  const cases = all.cases(HOSTILE, [slashes], text => all.acl.authorizePublish(principal, text, facts).allow)
  // Ten seconds a call are not worth the wait.
  return all.patterns.length > 1_000 ? cases.filter(({ subject }) => subject !== LOOP) : cases
}

function find(samples: readonly Sample[], scenario: string, count: number, subject = OWN): Sample {
  const column = count.toLocaleString('en')
  const found = samples.find(({ of }) => of.scenario === scenario && of.column === column && of.subject === subject)
  if (found === undefined) throw new Error(`no case ${scenario}, ${column}, ${subject}`)
  return found
}

function budgets(samples: readonly Sample[]): Budget[] {
  const atMost = (what: string, limit: number, measured: Spread, format: (value: number) => string): Budget => ({
    what,
    budget: `≤ ${format(limit)}`,
    measured: spreadOf(measured, format),
    isWithin: measured.median <= limit,
  })
  const hit = find(samples, HIT, 10)
  const loop = find(samples, HIT, 10, LOOP)
  const gain = ratio(loop, hit)
  return [
    atMost('publish, 10 rules', 150, spread(hit.rounds), nanoseconds),
    {
      what: 'mqtt-match loop / publish, 10 rules',
      budget: '≥ 25×',
      measured: spreadOf(gain, times),
      isWithin: gain.median >= 25,
    },
    atMost('publish, 10,000 rules / 10 rules', 1.5, ratio(find(samples, HIT, 10_000), hit), times),
    atMost('publish, 65,535 slashes, 1,000 rules', 1e6, spread(find(samples, HOSTILE, 1_000).rounds), nanoseconds),
    atMost('subscribe, union, 100 rules', 5_000, spread(find(samples, UNION, 100).rounds), nanoseconds),
  ]
}

/** Decisions of a compiled ACL against the matchers that brokers and their users reach for. */
export const matchBench = {
  packages: ['mqtt-match', 'qlobber'],
  base: OWN,
  measure: (): Sample[] => measure(COUNTS.flatMap(casesFor)),
  budgets,
}
