import type { FormerHolder } from '../authorizer/types.js'
import { isGone } from './account.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { type Ownership, type SessionOwner, settleOwner } from './owners.js'
import type { OwnerRegistry, Ruling } from './registry.js'

/** What comes of a claim. */
export type Claimed =
  | { readonly kind: 'refused' }
  /** Another node works on what is stored. */
  | { readonly kind: 'wait' }
  | {
      readonly kind: 'admitted'
      /** Whether somebody else's clients, and what they have stored, must go first. */
      readonly isForeign: boolean
      /** Whether a session was stored before. */
      readonly wasStored: boolean
      /** Clients on other nodes, which lose the client id. */
      readonly rivals: readonly FormerHolder[]
    }

/** Longest address that is kept. */
const MAX_ADDRESS = 64

/** Rules on the claim of a newcomer, who has logged in. */
export async function settleClaim(
  context: Context,
  { client, session, owner: newcomer }: Member,
  told: Ownership | undefined,
): Promise<Ruling<Claimed>> {
  const { authorizer, members, registry } = context
  // What a shared state has forgotten is known of clients that are here.
  const held = told ?? ownershipOf(context, members.holder(client.id))
  const own = { [registry.node]: (session.address ?? '').slice(0, MAX_ADDRESS) }
  const fresh: Ruling<Claimed> = {
    outcome: { kind: 'admitted', isForeign: false, wasStored: false, rivals: [] },
    entry: { owner: newcomer, isStored: !client.clean, isForeign: false, holders: own },
  }
  if (held === undefined) return fresh
  if (await isKept(registry, held)) return { outcome: { kind: 'wait' }, entry: 'kept' }
  const others = await registry.others(held)
  const isLive = others.length > 0 || members.holder(client.id) !== undefined
  if (!isLive && !held.isStored) return fresh
  let verdict = settleOwner(held.owner, newcomer)
  if (verdict === 'refuse' && !isLive && (await isOrphaned(context, client.id, held.owner))) verdict = 'evict'
  const isFirstKept = authorizer.takeover === 'first' && verdict === 'keep' && others.length > 0
  if (verdict === 'refuse' || isFirstKept) return { outcome: { kind: 'refused' }, entry: 'kept' }
  const isForeign = verdict === 'evict' || held.isForeign
  const rivals = others.map(({ node }) => [node, held.holders[node]!] as const)
  const { mountpoint, username } = held.owner
  const former = { principal: { mountpoint, clientId: client.id, username }, isOwn: verdict === 'keep' }
  return {
    outcome: {
      kind: 'admitted',
      isForeign,
      wasStored: held.isStored,
      rivals: others.map(({ node, nodeId }) => {
        const address = held.holders[node]
        return { ...former, ...(address && { address }), ...(nodeId !== undefined && { nodeId }) }
      }),
    },
    entry: {
      owner: newcomer,
      isStored: held.isStored || !client.clean,
      isForeign,
      ...(isForeign && { keeper: registry.node }),
      holders: { ...Object.fromEntries(rivals), ...own },
    },
  }
}

/** What a client holds here. */
function ownershipOf({ registry }: Context, holder: Member | undefined): Ownership | undefined {
  if (holder === undefined) return undefined
  const { owner, client } = holder
  return { owner, isStored: !client.clean, isForeign: false, holders: { [registry.node]: '' } }
}

/** Whether another node works on what is stored. */
export async function isKept(registry: OwnerRegistry, { keeper }: Ownership): Promise<boolean> {
  return keeper !== undefined && keeper !== registry.node && (await registry.isAlive(keeper))
}

/** What is left when this node no longer holds a client id, nor works on what is stored under it. */
export function withoutNode(node: string, { holders, keeper, ...held }: Ownership): Ownership | 'removed' {
  const { [node]: _own, ...others } = holders
  if (Object.keys(others).length === 0 && !held.isStored) return 'removed'
  return { ...held, ...(keeper !== undefined && keeper !== node && { keeper }), holders: others }
}

/** Whether the account that owns a stored session exists no more. */
async function isOrphaned({ authorizer }: Context, clientId: string, owner: SessionOwner): Promise<boolean> {
  if (owner.kind === 'anonymous') return false
  const { mountpoint, username } = owner
  const access = await authorizer.access({ mountpoint, clientId, username })
  return !access.allow && isGone(access.reason)
}
