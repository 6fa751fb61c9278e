import { WardenError } from '../errors.js'
import type { Claimant } from './claim.js'
import type { Context } from './context.js'
import { KEPT } from './registry.js'
import { wipeSession } from './stored.js'
import { Waits } from './waits.js'

/** Has the clients of an evicted owner closed wherever they are, and wipes what is stored of it. */
export async function takeOut(context: Context, claimant: Claimant): Promise<void> {
  const { gate, persistence, registry } = context
  const { client } = claimant.member
  const { id } = client
  let isWiped = false
  try {
    await closeElsewhere(context, claimant)
    await gate.exclusively(id, () => wipeSession(persistence, id))
    isWiped = true
  } finally {
    await registry.update(id, held => {
      if (held?.keeper !== registry.node) return KEPT
      const { keeper: _own, ...rest } = held
      return { outcome: undefined, entry: isWiped ? { ...rest, isForeign: false, isStored: !client.clean } : rest }
    })
  }
}

/** Resolves when no other living node holds the client id. */
async function closeElsewhere({ registry, broker }: Context, claimant: Claimant): Promise<void> {
  const clientId = claimant.member.client.id
  const waits = new Waits()
  for (;;) {
    const held = await registry.read(clientId)
    if (held === undefined || (await registry.others(held)).length === 0) return
    if (!claimant.isWanted()) throw new WardenError('the client went before its predecessor')
    // What a broker says of a client that it has registered: all others close theirs. Said again, since a client that
    // was about to be registered did not hear it.
    const topic = `$SYS/${registry.node}/new/clients`
    const payload = Buffer.from(clientId)
    broker.publish({ cmd: 'publish', topic, payload, qos: 0, retain: false }, null, () => {})
    await waits.next()
  }
}
