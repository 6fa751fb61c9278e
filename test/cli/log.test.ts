import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DeniedEvent } from '../../src/authorizer/index.js'
import { Log } from '../../src/cli/serve/log.js'

let lines: { readonly event: string; readonly suppressed?: number }[]
let log: Log

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
  lines = []
  log = new Log(line => void lines.push(JSON.parse(line)))
})
afterEach(() => {
  vi.useRealTimers()
})

const denial = (clientId: string): DeniedEvent => ({
  at: 0,
  principal: { mountpoint: '', clientId, username: 'u' },
  action: 'publish',
  topic: 'a',
  decision: { allow: false, reason: 'no_matching_rule' },
  suppressed: 0,
})

/** How many lines were written since the last look. */
const written = (): number => lines.splice(0).length

describe('the log of refusals', () => {
  it('writes twenty of one client at once, then one a second, which tells how many were left out', () => {
    for (let n = 0; n < 50; n++) log.denied(denial('c'))
    expect(written()).toBe(20)
    vi.advanceTimersByTime(999)
    log.denied(denial('c'))
    expect(written()).toBe(0)
    vi.advanceTimersByTime(1)
    for (let n = 0; n < 3; n++) log.denied(denial('c'))
    expect(lines.map(({ suppressed }) => suppressed)).toEqual([31])
    log.denied(denial('other'))
    expect(lines.at(-1)).not.toHaveProperty('suppressed')
  })

  it('writes five hundred of all clients at once, then two hundred a second', () => {
    for (let n = 0; n < 1_000; n++) log.denied(denial(`c${n}`))
    expect(written()).toBe(500)
    vi.advanceTimersByTime(1_000)
    for (let n = 0; n < 1_000; n++) log.denied(denial(`d${n}`))
    expect(lines[0]).toMatchObject({ suppressed: 500 })
    expect(written()).toBe(200)
  })
})

describe('the log of faults', () => {
  it('writes twenty of one place at once, then one a second', () => {
    for (let n = 0; n < 50; n++) log.error(new Error('broken'), 'here')
    log.error(new Error('broken'), 'there')
    expect(written()).toBe(21)
    vi.advanceTimersByTime(1_000)
    for (let n = 0; n < 50; n++) log.error(new Error('broken'), 'here')
    expect(lines.map(({ suppressed }) => suppressed)).toEqual([30])
  })
})
