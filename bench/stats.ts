import type { Budget, Label, Sample, Spread, Unit } from './types.js'

/** The quartiles of a sample. */
export function spread(values: readonly number[]): Spread {
  const at = (share: number) => percentile(values, share)
  return { low: at(0.25), median: at(0.5), high: at(0.75) }
}

/** The value that this share of all does not exceed; `NaN` of none. Holes are left out. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.filter(value => value !== undefined).sort((a, b) => a - b)
  return sorted[Math.round((sorted.length - 1) * share)] ?? Number.NaN
}

/** How many times the figure of `other` that of `one` is, round by round. */
export function ratio(one: Sample, other: Sample): Spread {
  const shared = Math.min(one.rounds.length, other.rounds.length)
  return spread(Array.from({ length: shared }, (_, round) => one.rounds[round]! / other.rounds[round]!))
}

/** The sample of a case, which must be there. */
export function find(samples: readonly Sample[], wanted: Pick<Label, 'scenario' | 'column' | 'subject'>): Sample {
  const { scenario, column, subject } = wanted
  const found = samples.find(({ of }) => of.scenario === scenario && of.column === column && of.subject === subject)
  if (found === undefined) throw new Error(`no case ${scenario}, ${column}, ${subject}`)
  return found
}

/** A figure for people. */
export function show(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return '-'
  if (unit === 'ns') return showTime(value)
  if (unit === '×')
    return `${value < 10 ? value.toFixed(2) : value.toLocaleString('en', { maximumFractionDigits: 0 })}×`
  if (unit === '/s') return `${significant(value)} /s`
  if (unit === 'count') return value.toLocaleString('en', { maximumFractionDigits: 0 })
  return Math.abs(value) < 10_000 ? `${significant(value)} B` : `${significant(value / 1_000)} KB`
}

function showTime(value: number): string {
  if (value < 1_000) return `${value.toFixed(0)} ns`
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e4 ? 1 : 0)} µs`
  if (value < 1e9) return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} ms`
  return `${(value / 1e9).toFixed(1)} s`
}

/** Three digits, as more would claim too much. */
function significant(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en')
}

/** A middle value with its quartiles; alone where it was taken once. */
export function showSpread({ low, median, high }: Spread, unit: Unit): string {
  const middle = show(median, unit)
  return low === high ? middle : `${middle} (${show(low, unit)} to ${show(high, unit)})`
}

/** What a budget compares: the median keeps the limit or it does not. */
export interface Limit {
  readonly what: string
  readonly measured: Spread
  readonly unit: Unit
  readonly peer?: string
  readonly whenMissed: string
}

export function atMost(limit: number, { what, measured, unit, peer = '', whenMissed }: Limit): Budget {
  const isWithin = measured.median <= limit
  return { what, budget: `≤ ${show(limit, unit)}`, measured: showSpread(measured, unit), peer, isWithin, whenMissed }
}

export function atLeast(limit: number, { what, measured, unit, peer = '', whenMissed }: Limit): Budget {
  const isWithin = measured.median >= limit
  return { what, budget: `≥ ${show(limit, unit)}`, measured: showSpread(measured, unit), peer, isWithin, whenMissed }
}

/** A figure that is told without being held to anything. */
export function told(what: string, measured: string, peer = ''): Budget {
  return { what, budget: 'none', measured, peer, isWithin: undefined, whenMissed: '' }
}
