import type { AclRecord, RecordKey } from 'mqtt-warden'
import { createRedisStore, type RedisStore } from 'mqtt-warden/redis'
import { Child } from '../child.js'
import type { Followed, NodeArgument } from './node.js'

const NODES = 3
const LIMIT_MS = 10_000

const passhash = `$2a$04$${'a'.repeat(53)}`
const rules = Array.from({ length: 50 }, (_, at) => ({ pattern: `fleet/${at}/+/#` }))
/** Without the right that is probed, with it, and with it under another password. */
export const narrow: AclRecord = { passhash, publishAcl: rules, subscribeAcl: rules }
export const wide: AclRecord = { ...narrow, publishAcl: [...rules, { pattern: 'probe/#' }] }
export const renewed: AclRecord = { ...wide, passhash: `$2a$04$${'b'.repeat(53)}` }
export const roleKey = keyOf('*')

export function keyOf(clientId: string): RecordKey {
  return { mountpoint: '', clientId, username: 'device' }
}

/** A change of a record, and what it leaves of the right to publish. */
export interface Write {
  /** Whose record it is; `undefined` for that of the role. */
  readonly clientId: string | undefined
  readonly isAllowed: boolean
  send(): Promise<unknown>
}

/** Three nodes, and the one who changes records behind their backs. */
export class Cluster {
  readonly writer: RedisStore
  readonly #nodes: readonly Child[]
  #wait: { readonly write: Write; left: number; latest: bigint; resolve(at: bigint): void } | undefined

  static async start(url: string, kinds: { readonly exact: number; readonly role: number }): Promise<Cluster> {
    const writer = createRedisStore(url)
    if (kinds.role > 0) await writer.put(roleKey, wide)
    for (let at = 0; at < kinds.exact; at++) await writer.put(keyOf(`exact-${at}`), wide)
    const script = new URL('node.ts', import.meta.url)
    const argument: NodeArgument = { url, ...kinds }
    const nodes = await Promise.all(Array.from({ length: NODES }, () => Child.start(script, argument)))
    await Promise.all(nodes.map(node => node.ask('logIn')))
    return new Cluster(writer, nodes)
  }

  private constructor(writer: RedisStore, nodes: readonly Child[]) {
    this.writer = writer
    this.#nodes = nodes
    for (const node of nodes) node.onTold = (told: Followed) => this.#hear(told)
  }

  async setLoad(isOn: boolean): Promise<void> {
    await Promise.all(this.#nodes.map(node => node.ask('setLoad', isOn)))
  }

  /** Nanoseconds from the call that writes until the last node decides by it. */
  async latency(write: Write): Promise<number> {
    let timer: NodeJS.Timeout | undefined
    const last = new Promise<bigint>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`not enforced within ${LIMIT_MS} ms: ${write.clientId}`)), LIMIT_MS)
      this.#wait = { write, left: NODES, latest: 0n, resolve }
    })
    const startedAt = process.hrtime.bigint()
    const [at] = await Promise.all([last, write.send()])
    clearTimeout(timer)
    return Number(at - startedAt)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map(node => node.stop()))
    await this.writer.close()
  }

  #hear({ clientId, isAllowed, at }: Followed): void {
    const wait = this.#wait
    if (wait === undefined || wait.write.clientId !== clientId || wait.write.isAllowed !== isAllowed) return
    if (at > wait.latest) wait.latest = at
    if (--wait.left === 0) wait.resolve(wait.latest)
  }
}
