import { describe, expect, it } from 'vitest'
import { Sleepers } from '../../src/aedes/sleepers.js'
import { Suspects } from '../../src/aedes/suspects.js'

const OWNER = { mountpoint: '', username: 'u', kind: 'exact' } as const

/** Sessions asleep, and how tidying one of them goes. */
function scene(...clientIds: string[]) {
  const sleepers = new Sleepers(100)
  for (const clientId of clientIds) sleepers.add(clientId, OWNER, Number.POSITIVE_INFINITY)
  const tidied: string[] = []
  const failing = new Set<string>()
  const meanwhile = new Map<string, () => void>()
  const suspects = new Suspects(sleepers, async clientId => {
    tidied.push(clientId)
    meanwhile.get(clientId)?.()
    return failing.has(clientId) ? { failed: 'no' } : {}
  })
  return { sleepers, suspects, tidied, failing, meanwhile }
}

describe('sessions of which anything may have changed', () => {
  it('are gone through once each, the one longest asleep first', async () => {
    const { suspects, tidied } = scene('a', 'b', 'c')
    await suspects.run()
    expect(tidied).toEqual([])
    suspects.all()
    await Promise.all([suspects.run(), suspects.run()])
    await suspects.run()
    expect(tidied).toEqual(['a', 'b', 'c'])
  })

  it('are gone through anew when anything may have changed once more', async () => {
    const { suspects, tidied, meanwhile } = scene('a', 'b', 'c')
    meanwhile.set('b', () => {
      meanwhile.clear()
      suspects.all()
    })
    suspects.all()
    await suspects.run()
    expect(tidied).toEqual(['a', 'b', 'a', 'b', 'c'])
  })

  it('wait for the next time when one fails, which is tried three times', async () => {
    const { suspects, tidied, failing } = scene('a', 'b', 'c')
    failing.add('b')
    suspects.all()
    for (const expected of [['a', 'b'], ['b'], ['b'], ['c'], []]) {
      await suspects.run()
      expect(tidied.splice(0)).toEqual(expected)
    }
  })

  it('go on with the one that failed when it can be tidied', async () => {
    const { suspects, tidied, failing } = scene('a', 'b', 'c')
    failing.add('a')
    suspects.all()
    await suspects.run()
    failing.clear()
    await suspects.run()
    expect(tidied).toEqual(['a', 'a', 'b', 'c'])
  })

  it('are left out once their clients are back, and when the broker ends', async () => {
    const { suspects, sleepers, tidied, meanwhile } = scene('a', 'b', 'c', 'd')
    meanwhile.set('a', () => sleepers.delete('b'))
    meanwhile.set('c', () => suspects.none())
    suspects.all()
    await suspects.run()
    expect(tidied).toEqual(['a', 'c'])
  })
})
