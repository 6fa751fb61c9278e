import { type CompiledAcl, compileAcl, type Session } from 'mqtt-warden'
import { publishVerdict, receiveVerdict, subscribeVerdict } from '../../test/acl/reference.js'
import { type Case, measure } from '../harness.js'
import { plot } from '../plot.js'
import { atLeast, atMost, find, ratio, show, showSpread, spread, told } from '../stats.js'
import type { Bench, Budget, Measured, Sample } from '../types.js'
import { openSession } from './session.js'
import { type Answer, createPeers, EXACT, FLOOR, LOOP, MATCHERS, QLOBBER } from './subjects.js'

const OWN = 'mqtt-warden'
const SESSION = 'mqtt-warden session'
const COUNTS = [1, 10, 100, 1_000, 10_000]

const HIT = 'publish, last rule'
const AGAIN = 'publish, one name again'
const LATE_MISS = 'publish, late miss'
const EARLY_MISS = 'publish, early miss'
const VARIABLE = 'publish, %c rule'
const HOSTILE = 'publish, 65,535 slashes'
const RECEIVE = 'receive, last rule'
const SUBSCRIBE = 'subscribe, last rule'
const UNION = 'subscribe, union'
const TOO_WIDE = 'subscribe, a/# under a/+'

const principal = { mountpoint: '', clientId: 'dev17', username: 'plant' }
const facts = { qos: 1, retain: false, payloadSize: 120 } as const
const reference = { semantics: 'strict', maxLevels: 128, unknownFits: false } as const

/** As many different texts as a broker may see between two collections of garbage, decoded as it decodes them. */
const TEXTS = 64

function texts(make: (at: number) => string): readonly string[] {
  return Array.from({ length: TEXTS }, (_, at) => Buffer.from(make(at)).toString())
}

function rulesOf(patterns: readonly string[]): { pattern: string }[] {
  return patterns.map(pattern => ({ pattern }))
}

function pick(answers: Readonly<Record<string, Answer>>, names: readonly string[]): Record<string, Answer> {
  return Object.fromEntries(names.map(name => [name, answers[name]!]))
}

/** A question: what is asked, and what has to be answered. */
interface Scenario {
  readonly name: string
  readonly column: string
  readonly texts: readonly string[]
  readonly expected: Answer
}

/** One case for every subject, marked where the answers are wrong. Ours and the floors must not be. */
function casesOf({ name, column, texts, expected }: Scenario, subjects: Readonly<Record<string, Answer>>): Case[] {
  return Object.entries(subjects).map(([subject, answer]) => {
    const isWrong = texts.some(text => answer(text) !== expected(text))
    if (isWrong && /^(floor|mqtt-warden)/.test(subject))
      throw new Error(`${subject} is wrong: ${name}, ${column} rules`)
    const run = (turn: number) => answer(texts[turn % texts.length]!)
    return { scenario: name, column, subject, run, ...(isWrong && { isWrong }) }
  })
}

/** What can be asked about `count` rules `org/site{i}/+/temp/#`. */
class Rules {
  readonly column: string
  readonly count: number
  readonly patterns: readonly string[]
  readonly acl: CompiledAcl
  readonly session: Session
  readonly peers: Readonly<Record<string, Answer>>

  static async create(count: number): Promise<Rules> {
    const patterns = Array.from({ length: count }, (_, at) => `org/site${at}/+/temp/#`)
    return new Rules(patterns, await openSession(patterns, principal))
  }

  private constructor(patterns: readonly string[], session: Session) {
    this.count = patterns.length
    this.column = this.count.toLocaleString('en')
    this.patterns = patterns
    const rules = rulesOf(patterns)
    this.acl = compileAcl({ publishAcl: rules, subscribeAcl: rules })
    this.session = session
    this.peers = createPeers(patterns)
  }

  cases(): Case[] {
    return [...this.#publishCases(), ...this.#subscribeCases(), ...this.#variableCases(), ...this.#hostileCases()]
  }

  /** Asks about texts `org/site{last}/dev{n}/…`, or with another beginning. */
  #scenario(name: string, tail: string, head = 'org'): Omit<Scenario, 'expected'> {
    const all = texts(at => `${head}/site${this.count - 1}/dev${at}/${tail}`)
    return { name, column: this.column, texts: all }
  }

  #publishCases(): Case[] {
    const { acl, session } = this
    const rules = acl.acl.publishAcl
    const expected: Answer = text => publishVerdict(rules, principal, text, facts, reference).allow
    const publish: Answer = text => acl.authorizePublish(principal, text, facts).allow
    const own = { [OWN]: publish, [SESSION]: (text: string) => session.authorizePublish(text, facts).allow }
    const hit = { ...this.#scenario(HIT, 'temp/celsius'), expected }
    const names = new Set(hit.texts)
    const isName: Answer = text => names.has(text)
    const received: Answer = text => receiveVerdict(acl.acl.subscribeAcl, principal, text, reference).allow
    const receive = {
      [OWN]: (text: string) => acl.authorizeReceive(principal, text).allow,
      [SESSION]: (text: string) => session.authorizeReceive(text).allow,
    }
    return [
      ...casesOf(hit, { ...own, ...this.peers, [EXACT]: isName }),
      ...casesOf({ ...hit, name: AGAIN, texts: texts(() => hit.texts[0]!) }, own),
      // A session reports what it refuses, which is not asked here.
      ...casesOf({ ...this.#scenario(LATE_MISS, 'hum/percent'), expected }, { [OWN]: publish, ...this.peers }),
      ...casesOf(
        { ...this.#scenario(EARLY_MISS, 'temp/celsius', 'other'), expected },
        { [OWN]: publish, ...pick(this.peers, [LOOP, QLOBBER, FLOOR]) },
      ),
      ...casesOf({ ...hit, name: RECEIVE, expected: received }, receive),
    ]
  }

  /** The peers are asked as their users ask them: with the filter in place of a name. */
  #subscribeCases(): Case[] {
    const expect =
      (patterns: readonly string[]): Answer =>
      text =>
        // The reference tries every choice of rules; those of other sites cannot matter.
        subscribeVerdict(rulesOf(patterns.slice(-4)), principal, text, facts, reference).allow
    const ask = (patterns: readonly string[]): Answer => {
      const acl = compileAcl({ publishAcl: [], subscribeAcl: rulesOf(patterns) })
      return text => acl.authorizeSubscribe(principal, text, facts).allow
    }
    const { patterns, column, count } = this
    const last = this.#scenario(SUBSCRIBE, 'temp/#')
    const subjects = { [OWN]: ask(patterns), ...pick(this.peers, [LOOP, QLOBBER]) }
    const cases = casesOf({ ...last, expected: expect(patterns) }, subjects)

    const flat = patterns.map((_, at) => `org/site${at}/+`)
    const wide = { name: TOO_WIDE, column, texts: [`org/site${count - 1}/#`], expected: expect(flat) }
    cases.push(...casesOf(wide, { [OWN]: ask(flat), ...pick(createPeers(flat), MATCHERS) }))

    if (count < 2) return cases
    const union = [...patterns.slice(0, count - 2), 'plant', 'plant/+/#']
    const whole = { name: UNION, column, texts: ['plant/#'], expected: expect(union) }
    return [...cases, ...casesOf(whole, { [OWN]: ask(union) })]
  }

  #variableCases(): Case[] {
    const rules = rulesOf([...this.patterns.slice(1), 'fleet/%c/#'])
    const acl = compileAcl({ publishAcl: rules, subscribeAcl: [] })
    const own = texts(at => `fleet/dev17/temp/sensor${at}`)
    const expected: Answer = text => publishVerdict(rules, principal, text, facts, reference).allow
    const scenario = { name: VARIABLE, column: this.column, texts: own, expected }
    return casesOf(scenario, { [OWN]: text => acl.authorizePublish(principal, text, facts).allow })
  }

  #hostileCases(): Case[] {
    const { acl, peers } = this
    const scenario = { name: HOSTILE, column: this.column, texts: ['/'.repeat(65_535)], expected: () => false }
    const subjects = { [OWN]: (text: string) => acl.authorizePublish(principal, text, facts).allow }
    // Seconds a call are not worth the wait.
    return casesOf(scenario, this.count > 100 ? subjects : { ...subjects, [LOOP]: peers[LOOP]! })
  }
}

async function measureAll(): Promise<Measured> {
  const rules = await Promise.all(COUNTS.map(count => Rules.create(count)))
  return { samples: measure(rules.flatMap(one => one.cases())) }
}

function budgets(samples: readonly Sample[]): Budget[] {
  const of = (scenario: string, count: number, subject = OWN) =>
    find(samples, { scenario, column: count.toLocaleString('en'), subject })
  const time = (sample: Sample) => `${sample.of.subject} ${show(spread(sample.rounds).median, 'ns')}`
  const hit = of(HIT, 10, SESSION)
  const loop = of(HIT, 10, LOOP)
  return [
    atMost(150, {
      what: 'publish decision of a live session, 10 rules',
      measured: spread(hit.rounds),
      unit: 'ns',
      peer: `${time(loop)}; ${time(of(HIT, 10, FLOOR))}`,
      whenMissed:
        'the name is validated and the clock is read besides the search; set the mqtt-match loop beside its 4.0 µs on an idle core.',
    }),
    atLeast(25, {
      what: 'mqtt-match loop / publish decision of a live session, 10 rules',
      measured: ratio(loop, hit),
      unit: '×',
      whenMissed: 'a session also reads the clock, which takes a fifth of its time, and validates the name.',
    }),
    told(
      'publish decision of a live session, the name it published to before, 10 rules',
      showSpread(spread(of(AGAIN, 10, SESSION).rounds), 'ns'),
      time(of(AGAIN, 10)),
    ),
    atMost(1.5, {
      what: 'publish decision, 10,000 rules / 10 rules',
      measured: ratio(of(HIT, 10_000), of(HIT, 10)),
      unit: '×',
      peer: time(of(HIT, 10_000, LOOP)),
      whenMissed: 'more characters are looked at in a large trie, and it does not fit the caches of the processor.',
    }),
    atMost(1e6, {
      what: 'publish decision, topic of 65,535 slashes, 1,000 rules',
      measured: spread(of(HOSTILE, 1_000).rounds),
      unit: 'ns',
      peer: `${time(of(HOSTILE, 100, LOOP))} at 100 rules`,
      whenMissed: 'the whole text is scanned whatever it holds.',
    }),
    atMost(5_000, {
      what: 'subscribe decision by a union of rules, 100 rules',
      measured: spread(of(UNION, 100).rounds),
      unit: 'ns',
      whenMissed: 'a name is tried for every length the filter can have.',
    }),
  ]
}

/** Time of a publish decision against the number of rules. */
function draw({ samples }: Measured): Readonly<Record<string, string>> {
  const hits = samples.filter(({ of }) => of.scenario === HIT && !of.isWrong)
  const subjects = [...new Set(hits.map(({ of }) => of.subject))].filter(
    subject => subject !== EXACT && subject !== OWN,
  )
  const lines = subjects.map(name => ({
    name,
    points: hits
      .filter(({ of }) => of.subject === name)
      .map(({ of, rounds }) => [Number(of.column.replaceAll(',', '')), spread(rounds).median] as const),
  }))
  const title = 'Time of one publish decision that the last rule allows'
  const x = { label: 'rules', scale: 'log', show: (value: number) => value.toLocaleString('en') } as const
  const y = { label: 'median', scale: 'log', show: (value: number) => show(value, 'ns') } as const
  return { 'match.svg': plot(title, [{ title, x, y, lines }]) }
}

/** Decisions beside the matchers that brokers and their users reach for. */
export const matchBench: Bench = {
  packages: ['mqtt-match', 'mqtt-pattern', 'qlobber', 'casbin'],
  base: OWN,
  measure: measureAll,
  budgets,
  draw,
}
