import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as warden from 'mqtt-warden'
import { type DenyReason, reasons } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { PROTECT_DEFAULTS } from '../../src/aedes/options.js'
import { AUTHORIZER_DEFAULTS } from '../../src/authorizer/options.js'
import { THROTTLE_DEFAULTS } from '../../src/authorizer/throttle-options.js'
import { BROKER_DEFAULTS } from '../../src/broker/options.js'
import { REDIS_STORE_DEFAULTS } from '../../src/redis/options.js'

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

/** The rows of the first table behind a heading, as cells. */
function table(heading: string): string[][] {
  const [, section = ''] = README.split(`\n${heading}\n`)
  const lines = section.split(/\n#+ /)[0]!.split('\n')
  const rows = lines.filter(line => line.startsWith('|')).slice(2)
  return rows.map(row =>
    row
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  )
}

/** The blocks of a language behind a heading. */
function blocks(heading: string, language: string): string[] {
  const [, section = ''] = README.split(`\n${heading}\n`)
  return [...section.split(/\n## /)[0]!.matchAll(new RegExp(`\\n\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(
    match => match[1]!,
  )
}

const unquote = (cell: string) => cell.replaceAll('`', '')
const number = (cell: string) => Number(unquote(cell).replaceAll(',', '').replaceAll('_', ''))

describe('README', () => {
  it('prints with its first program what it says it prints', () => {
    const [program] = blocks('## A complete program', 'js')
    const [output] = blocks('## A complete program', 'text')
    const root = new URL('../../', import.meta.url)
    const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', program!], { cwd: root })
    expect(printed.toString()).toBe(output)
    expect(program!.split('\n').length).toBeLessThanOrEqual(26)
  })

  it('shows how long the revoked right survived each fault when that was measured', () => {
    const file = new URL('../../bench/results/faults.json', import.meta.url)
    const { rows } = JSON.parse(readFileSync(file, 'utf8')) as { rows: Record<string, string>[] }
    const recorded = rows.map(({ fault, bound, survived, recovered }) => [fault, bound, survived, recovered])
    expect(table('### How long a revoked right can survive')).toEqual(recorded)
  })

  it('has a row for every deny reason, with its codes and wording, and no other', () => {
    const rows = table('## Deny reasons').map(cells => cells.map(unquote))
    const expected = (Object.keys(reasons) as DenyReason[]).map(reason => {
      const { connack5, connack3, code5, text } = reasons[reason]
      const hex = (code: number) => `0x${code.toString(16).toUpperCase().padStart(2, '0')}`
      return [reason, text, hex(connack5), String(connack3), hex(code5)]
    })
    expect(rows).toEqual(expected)
  })

  it('has a row for every error class with its code, and no other', () => {
    const rows = table('## Errors').map(([name, code]) => [unquote(name!), unquote(code!)])
    const classes = Object.entries(warden).filter(
      (entry): entry is [string, typeof warden.WardenError] =>
        typeof entry[1] === 'function' &&
        (entry[1] === warden.WardenError || entry[1].prototype instanceof warden.WardenError),
    )
    expect(new Set(rows.map(String))).toEqual(new Set(classes.map(([name, { code }]) => `${name},${code}`)))
  })

  it.each([
    ['the authorizer', AUTHORIZER_DEFAULTS],
    ['`protect`', PROTECT_DEFAULTS],
    ['the Redis store', REDIS_STORE_DEFAULTS],
    ['the broker adapter', BROKER_DEFAULTS],
  ])('has a row for every default of %s, and no other', (of, defaults) => {
    const rows = table(`### Options of ${of}`).map(([name, fallback, range]) => {
      const [min, max] = range!.split(' to ')
      return [unquote(name!), number(fallback!), number(min!), number(max!)]
    })
    const expected = Object.entries(defaults).map(([name, { fallback, min, max }]) => [name, fallback, min, max])
    expect(rows).toEqual(expected)
  })

  it('has a row for every default of the throttle, and no other', () => {
    const rows = table('### Logins: storms and guessing').map(([name, fallback, range]) => {
      const [min, max] = range!.split(' to ')
      return [unquote(name!), { fallback: number(fallback!), min: number(min!), max: number(max!) }]
    })
    const expected = Object.entries(THROTTLE_DEFAULTS).flatMap(([name, ranges]) =>
      'fallback' in ranges
        ? [[name, ranges]]
        : Object.entries(ranges).map(([part, range]) => [`${name}.${part}`, range]),
    )
    expect(rows).toEqual(expected)
  })
})
