import { ratio, show, spread } from './stats.js'
import type { Budget, Sample } from './types.js'

/** Tables of medians, a scenario each: subjects down, columns across, and below how they compare with the base. */
export function printTables(samples: readonly Sample[], base: string | undefined): void {
  for (const [scenario, own] of group(samples, ({ of }) => of.scenario)) {
    const columns = [...group(own, ({ of }) => of.column).keys()]
    const subjects = [...group(own, ({ of }) => of.subject).keys()]
    const find = (subject: string, column: string) =>
      own.find(({ of }) => of.subject === subject && of.column === column)
    const rows: string[][] = [[scenario, ...columns]]
    for (const subject of subjects) rows.push([subject, ...columns.map(column => cell(find(subject, column)))])
    for (const subject of subjects.filter(one => base !== undefined && one !== base && subjects.includes(base))) {
      rows.push([
        `${subject} / ${base}`,
        ...columns.map(column => {
          const one = find(subject, column)
          const other = find(base!, column)
          return one && other ? show(ratio(one, other).median, '×') : '-'
        }),
      ])
    }
    printRows(rows)
  }
  if (samples.some(({ of }) => of.isWrong)) console.log('* gives wrong answers here\n')
}

export function printBudgets(budgets: readonly Budget[]): void {
  const rows = budgets.map(one => [one.what, one.budget, one.measured, one.peer, kept(one)])
  printRows([['budget', 'at most / at least', 'measured (quartiles)', 'others', 'kept'], ...rows], false)
}

function kept({ isWithin }: Budget): string {
  if (isWithin === undefined) return '-'
  return isWithin ? 'yes' : 'NO'
}

function cell(sample: Sample | undefined): string {
  if (sample === undefined) return '-'
  return show(spread(sample.rounds).median, sample.of.unit) + (sample.of.isWrong ? '*' : '')
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

export function group<T>(values: readonly T[], by: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const key = by(value)
    const present = groups.get(key)
    if (present === undefined) groups.set(key, [value])
    else present.push(value)
  }
  return groups
}
