import type { AedesOptions } from 'aedes'
import mqemitter from 'mqemitter'
import { createMemoryStore, type RecordStore } from 'mqtt-warden'
import { beforeEach } from 'vitest'
import {
  account,
  connectPacket,
  key,
  onlyTexts,
  type RawClient,
  raw,
  type Stage,
  type StageOptions,
  stage,
} from './setup.js'

export const records = [
  [key('own', 'c1'), account(['last/%c'], ['mail/#'])],
  [key('fleet'), account(['last/%c'], ['mail/#'])],
  [key('other'), account([], ['mail/#'])],
  [key('talker'), account(['#'])],
] as const

export const persistent = { clean: false }

/** What the nodes of a test share. */
export let store: RecordStore
let mq: AedesOptions['mq']

beforeEach(() => {
  store = createMemoryStore(records)
  mq = mqemitter({ matchEmptyLevels: true }) as AedesOptions['mq']
})

/** A node with an authorizer of its own; messages go to the others over one emitter, who owns what as text. */
export const node = (id: string, given: StageOptions = {}): Promise<Stage> => {
  const options = { owners: onlyTexts(store.shared!), ...given.options }
  return stage({ store, ...given, broker: { id, mq: mq!, ...given.broker }, options })
}

export async function login({ port }: Stage, username: string, more: object = {}) {
  const socket = await raw(port)
  socket.send(connectPacket('c1', username, more))
  const { returnCode, sessionPresent } = await socket.next<{ returnCode: number; sessionPresent: boolean }>('connack')
  return { returnCode, sessionPresent, socket }
}

export async function isAlive(socket: RawClient): Promise<boolean> {
  socket.send({ cmd: 'pingreq' })
  await socket.next('pingresp')
  return true
}

export const ownership = async () => JSON.parse((await store.shared!.get('owner:c1')) ?? 'null')
