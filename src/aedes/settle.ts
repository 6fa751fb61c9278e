import type { FormerHolder } from '../authorizer/types.js'
import { isOver } from './account.js'
import type { Context } from './context.js'
import { type MaybePromise, whenKnown } from './maybe-promise.js'
import type { Member } from './members.js'
import { type Ownership, type SessionOwner, settleOwner } from './owners.js'
import { KEPT, type OtherHolder, type OwnerRegistry, type Ruling } from './registry.js'

/** What comes of a claim. */
export type Claimed =
  | { readonly kind: 'refused' }
  /** Another node works on what is stored. */
  | { readonly kind: 'wait' }
  | Admitted

export interface Admitted {
  readonly kind: 'admitted'
  /** Whether somebody else's clients, and what they have stored, must go first. */
  readonly isForeign: boolean
  /** Whether a session was stored before. */
  readonly wasStored: boolean
  /** Clients on other nodes, which lose the client id. */
  readonly rivals: readonly FormerHolder[]
}

/** Rules on the claim of a newcomer, who has logged in. */
export function settleClaim(
  context: Context,
  member: Member,
  told: Ownership | undefined,
): MaybePromise<Ruling<Claimed>> {
  const { members, registry } = context
  // What a shared state has forgotten is known of clients that are here.
  const held = told ?? members.holder(member.client.id)?.ownership
  if (held === undefined) return admitted(context, member)
  if (isOnlyHere(registry, held)) return settleBeside(context, member, held, [])
  return settleAmongNodes(context, member, held)
}

async function settleAmongNodes(context: Context, member: Member, held: Ownership): Promise<Ruling<Claimed>> {
  const { registry } = context
  if (await isKept(registry, held)) return { outcome: { kind: 'wait' }, entry: 'kept' }
  return settleBeside(context, member, held, await registry.others(held))
}

/** @param others Other nodes that hold the client id. */
function settleBeside(
  context: Context,
  member: Member,
  held: Ownership,
  others: readonly OtherHolder[],
): MaybePromise<Ruling<Claimed>> {
  const { authorizer, members } = context
  const { id } = member.client
  const isLive = others.length > 0 || members.holder(id) !== undefined
  if (!isLive && !held.isStored) return admitted(context, member)
  const verdict = settleOwner(held.owner, member.owner)
  if (verdict === 'keep') {
    return authorizer.takeover === 'first' && others.length > 0
      ? REFUSED
      : admitted(context, member, { held, others, isOwn: true })
  }
  const evicting = { held: { ...held, isForeign: true }, others, isOwn: false }
  if (verdict === 'evict') return admitted(context, member, evicting)
  if (isLive) return REFUSED
  return whenKnown(isOrphaned(context, id, held.owner), isOrphan =>
    isOrphan ? admitted(context, member, evicting) : REFUSED,
  )
}

const REFUSED: Ruling<Claimed> = { outcome: { kind: 'refused' }, entry: 'kept' }

/** What a newcomer takes over, and which other nodes hold it. */
interface Inheritance {
  readonly held: Ownership
  readonly others: readonly OtherHolder[]
  /** Whether it was the same account's. */
  readonly isOwn: boolean
}

function admitted({ registry }: Context, member: Member, inheritance?: Inheritance): Ruling<Claimed> {
  if (inheritance === undefined) return { outcome: UNCONTESTED, entry: member }
  const { held, others, isOwn } = inheritance
  const { isForeign, isStored: wasStored, holders } = held
  const { mountpoint, username } = held.owner
  const former = { principal: { mountpoint, clientId: member.client.id, username }, isOwn }
  return {
    outcome: {
      kind: 'admitted',
      isForeign,
      wasStored,
      rivals: others.map(({ node, nodeId }) => {
        const address = holders[node]
        return { ...former, ...(address && { address }), ...(nodeId !== undefined && { nodeId }) }
      }),
    },
    entry: inherited(registry, member, inheritance),
  }
}

/** The ownership of a member that comes after another. */
function inherited({ node: own }: OwnerRegistry, member: Member, { held, others }: Inheritance): Ownership | Member {
  const { ownership } = member
  const { isForeign, holders } = held
  const isStored = held.isStored || ownership.isStored
  if (!isForeign && isStored === ownership.isStored && others.length === 0) return member
  return {
    ...ownership,
    isStored,
    isForeign,
    ...(isForeign && { keeper: own }),
    holders: { ...Object.fromEntries(others.map(({ node }) => [node, holders[node]!] as const)), ...ownership.holders },
  }
}

/** For a client id that nobody has to give up. */
export const UNCONTESTED: Admitted = { kind: 'admitted', isForeign: false, wasStored: false, rivals: [] }

/** Whether no other node is named, dead or alive. */
function isOnlyHere({ node }: OwnerRegistry, { keeper, holders }: Ownership): boolean {
  return (keeper === undefined || keeper === node) && isOnly(node, holders)
}

function isOnly(node: string, holders: Ownership['holders']): boolean {
  for (const holder in holders) if (holder !== node) return false
  return true
}

/** Whether another node works on what is stored. */
export async function isKept(registry: OwnerRegistry, { keeper }: Ownership): Promise<boolean> {
  return keeper !== undefined && keeper !== registry.node && (await registry.isAlive(keeper))
}

/** What is left when this node no longer holds a client id, nor works on what is stored under it. */
export function withoutNode(node: string, left: Ownership): Ownership | 'removed' {
  if (!left.isStored && isOnly(node, left.holders)) return 'removed'
  const { holders, keeper, ...held } = left
  const { [node]: _own, ...others } = holders
  return { ...held, ...(keeper !== undefined && keeper !== node && { keeper }), holders: others }
}

/** Rules on a client id that this node gives back. */
export function withdrawn({ node }: OwnerRegistry, held: Ownership | undefined): Ruling<undefined> {
  if (held === undefined || (!Object.hasOwn(held.holders, node) && held.keeper !== node)) return KEPT
  return { outcome: undefined, entry: withoutNode(node, held) }
}

/** Whether the owner of a stored session is no more. */
function isOrphaned({ authorizer }: Context, clientId: string, owner: SessionOwner): MaybePromise<boolean> {
  if (owner.kind === 'anonymous') return false
  const { mountpoint, username } = owner
  return whenKnown(authorizer.access({ mountpoint, clientId, username }), found => isOver(owner, found))
}
