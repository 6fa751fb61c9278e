import { expect, it, onTestFinished } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { allows, C1, K1, play } from './scene.js'

/** Warnings of the process about VerneMQ, from now on. */
function warnings(): string[] {
  const heard: string[] = []
  const hear = ({ message }: Error) => void (message.startsWith('vernemq: ') && heard.push(message))
  process.on('warning', hear)
  onTestFinished(() => void process.off('warning', hear))
  return heard
}

it('goes on with what has to be done when the listener for faults throws', async () => {
  const heard = warnings()
  const onFault = () => {
    throw new Error('no log today')
  }
  const { store, cluster } = await play([[K1, allows(['a'])]], { enforcement: { onFault } })
  await cluster.nodes[0]!.connect(C1)
  let failures = 4
  for (const node of cluster.nodes) {
    node.intercept = ({ path }) => (path.includes('session/disconnect') && failures-- > 0 ? 'fail' : undefined)
  }
  await store.delete(K1)
  await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
  expect(heard).toContain('vernemq: "onFault" option threw: no log today')
})

it('warns once of what nobody listens for', async () => {
  const heard = warnings()
  const { store, cluster } = await play([[K1, allows(['a'])]], { enforcement: { onFault: undefined } as object })
  await cluster.nodes[0]!.connect(C1)
  let failures = 8
  for (const node of cluster.nodes) {
    node.intercept = ({ path }) => (path.includes('session/disconnect') && failures-- > 0 ? 'fail' : undefined)
  }
  await store.delete(K1)
  await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
  // Some may still come from the test before.
  const own = heard.filter(message => !message.includes('no log today'))
  expect(own).toEqual([expect.stringMatching(/^vernemq: disconnect: .* \(no "onFault" option; reported once\)$/)])
})
