import { readFileSync } from 'node:fs'
import { show } from './stats.js'
import { group } from './table.js'
import type { Result } from './types.js'

/** In the order in which the README shows them. */
export const BENCHES = ['match', 'aedes', 'storm', 'guessing', 'webhook', 'memory', 'revoke-latency'] as const
export type BenchName = (typeof BENCHES)[number]

export const RESULTS: URL = new URL('results/', import.meta.url)

export type Results = readonly (readonly [name: string, result: Result])[]

/** What the last run of every bench has recorded. */
export function readResults(): Results {
  return BENCHES.map(name => [name, JSON.parse(readFileSync(new URL(`${name}.json`, RESULTS), 'utf8')) as Result])
}

/** The budgets of all benches as one table, with what is needed to judge it. */
export function budgetSection(results: Results): string {
  const rows = results.flatMap(([name, { budgets }]) =>
    budgets.map(one => [
      `\`${name}\``,
      one.what,
      one.budget,
      one.measured,
      one.peer || '–',
      one.isWithin === undefined ? '–' : one.isWithin ? 'yes' : '**no**',
    ]),
  )
  const judged = results.flatMap(([, { budgets }]) => budgets.filter(({ isWithin }) => isWithin !== undefined))
  const missed = judged.filter(({ isWithin }) => !isWithin)
  return [
    machines(results),
    '',
    ...table(['Bench', 'What', 'Budget', 'Measured: median (quartiles)', 'Others, in the same run', 'Kept'], rows),
    '',
    missed.length === 0
      ? `All ${judged.length} budgets are kept.`
      : `Missed: ${missed.length} of ${judged.length} budgets.`,
    ...(missed.length === 0 ? [] : ['', ...missed.map(({ what, whenMissed }) => `- ${what}: ${whenMissed}`)]),
  ].join('\n')
}

/** Every median of one bench, scenarios and subjects down, columns across. */
export function caseSection([name, result]: Results[number]): string {
  const { cases } = result
  const columns = [...group(cases, ({ column }) => column).keys()]
  const rows = [...group(cases, ({ scenario, subject }) => JSON.stringify([scenario, subject])).values()].map(own => [
    own[0]!.scenario,
    own[0]!.subject,
    ...columns.map(column => {
      const found = own.find(one => one.column === column)
      return found === undefined ? '–' : show(found.median, found.unit) + (found.isWrong ? '\\*' : '')
    }),
  ])
  return [
    `\`npm run bench ${name}\`, ${result.seconds} s. ${machines([[name, result]])}`,
    '',
    ...table(['Scenario', 'Subject', ...columns], rows),
    ...(cases.some(({ isWrong }) => isWrong) ? ['', '\\* wrong: not what MQTT and the rules demand.'] : []),
  ].join('\n')
}

function machines(results: Results): string {
  const distinct = (pick: (result: Result) => string) => [...new Set(results.map(([, result]) => pick(result)))]
  const machine = distinct(({ cores, cpu, node }) => `${cores} cores of ${cpu}, Node ${node.slice(1)}`)
  const loads = results.map(([, { load }]) => load)
  const packages = new Map(results.flatMap(([, result]) => Object.entries(result.packages)))
  const [low, high] = [Math.min(...loads), Math.max(...loads)]
  return [
    `Measured ${distinct(({ date }) => date).join(', ')} on ${machine.join('; ')}`,
    `load average before each bench ${low === high ? low : `${low} to ${high}`}`,
    `${[...packages].map(([name, version]) => `${name} ${version}`).join(', ')}.`,
  ].join('; ')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

/**
 * The text with what stands between the marks of a section replaced.
 *
 * @throws Error when a mark is missing.
 */
export function withSection(text: string, name: string, content: string): string {
  const [start, end] = [`<!-- figures of ${name} -->`, `<!-- end of ${name} -->`]
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`no marks ${start} … ${end}`)
  return `${text.slice(0, from + start.length)}\n${content}\n${text.slice(to)}`
}

/** The two files that show figures, as they must be: path from the root of the project, and how to bring it up to date. */
export const PAGES: Readonly<Record<string, (text: string, results: Results) => string>> = {
  'README.md': (text, results) => withSection(text, 'all benches', budgetSection(results)),
  'bench/README.md': (text, results) =>
    results.reduce((page, one) => withSection(page, one[0], caseSection(one)), text),
}
