import { ratio, type Sample, type Spread, spread } from './harness.js'

/** One line behind the tables: a figure that the project holds itself to. */
export interface Budget {
  readonly what: string
  readonly budget: string
  readonly measured: string
  readonly isWithin: boolean
}

export function nanoseconds(value: number): string {
  if (Number.isNaN(value)) return '-'
  if (value < 1_000) return `${value.toFixed(0)} ns`
  if (value < 1_000_000) return `${(value / 1_000).toFixed(value < 10_000 ? 1 : 0)} µs`
  return `${(value / 1_000_000).toFixed(value < 10_000_000 ? 1 : 0)} ms`
}

export function times(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)}×`
}

export function spreadOf({ low, median, high }: Spread, format: (value: number) => string): string {
  return `${format(median)} (${format(low)} to ${format(high)})`
}

/** Tables of medians, a scenario each: subjects down, columns across, and below how many times longer the others take. */
export function printTables(samples: readonly Sample[], base: string): void {
  for (const [scenario, own] of group(samples, ({ of }) => of.scenario)) {
    const columns = [...group(own, ({ of }) => of.column).keys()]
    const subjects = [...group(own, ({ of }) => of.subject).keys()]
    const find = (subject: string, column: string) =>
      own.find(({ of }) => of.subject === subject && of.column === column)
    const rows: string[][] = [[scenario, ...columns]]
    for (const subject of subjects) {
      rows.push([subject, ...columns.map(column => nanoseconds(spread(find(subject, column)?.rounds ?? []).median))])
    }
    for (const subject of subjects.filter(one => one !== base)) {
      rows.push([
        `${subject} / ${base}`,
        ...columns.map(column => {
          const slow = find(subject, column)
          const fast = find(base, column)
          return slow && fast ? times(ratio(slow, fast).median) : '-'
        }),
      ])
    }
    printRows(rows)
  }
}

export function printBudgets(budgets: readonly Budget[]): void {
  const rows = budgets.map(({ what, budget, measured, isWithin }) => [what, budget, measured, isWithin ? 'yes' : 'NO'])
  printRows([['budget', 'at most / at least', 'measured (quartiles)', 'kept'], ...rows], false)
}

function printRows(rows: readonly string[][], alignRight = true): void {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map(row => row[at]?.length ?? 0)))
  for (const row of rows) {
    const cells = row.map((cell, at) =>
      at === 0 || !alignRight ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!),
    )
    console.log(cells.join('  ').trimEnd())
  }
  console.log()
}

function group<T>(values: readonly T[], by: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const key = by(value)
    groups.set(key, [...(groups.get(key) ?? []), value])
  }
  return groups
}
