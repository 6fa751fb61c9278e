import type { DenyReason } from '../acl/types.js'
import { isGone } from './account.js'
import type { Context } from './context.js'
import type { Member } from './members.js'
import { type SessionOwner, settleOwner } from './owners.js'
import { wipeSession } from './stored.js'

/**
 * Makes a member the holder of its client id, before aedes loads anything that is stored under it. aedes knows a session by
 * its client id alone, and would hand the queue of one account to another.
 *
 * What an evicted owner left is wiped here. The authorizer judges live sessions by the same rule; this adds the stored
 * ones, and live ones of another mountpoint, which aedes does not tell apart.
 *
 * @param isWanted Whether the client is still there.
 */
export function claimClientId(
  context: Context,
  member: Member,
  isWanted: () => boolean,
): Promise<DenyReason | undefined> {
  const { members, settings, persistence, gate } = context
  const { client, session, owner: newcomer } = member
  return context.claims.run(client.id, async () => {
    if (!isWanted()) return 'closed'
    const holder = members.holder(client.id)
    const owner = holder?.owner ?? (await settings.owners.get(client.id))
    let verdict = owner === undefined ? 'keep' : settleOwner(owner, newcomer)
    if (verdict === 'refuse' && holder === undefined && (await isOrphaned(context, client.id, owner!)))
      verdict = 'evict'
    if (verdict === 'refuse') return session.refuse('connect', client.id, 'client_id_taken').reason
    if (verdict === 'evict') holder?.client.close()
    // Registered while the old one is still being taken down, the new client would be unregistered with it.
    if (holder?.client.closed) await holder.ended()
    if (verdict === 'evict') {
      await gate.exclusively(client.id, () => wipeSession(persistence, client.id))
    }
    members.hold(member)
    context.sleepers.delete(client.id)
    // A clean session ends what was stored, and leaves nothing.
    await (client.clean ? settings.owners.delete(client.id) : settings.owners.set(client.id, newcomer))
    return undefined
  })
}

/** Whether the account that owns a stored session exists no more. */
async function isOrphaned({ authorizer }: Context, clientId: string, owner: SessionOwner): Promise<boolean> {
  if (owner.kind === 'anonymous') return false
  const { mountpoint, username } = owner
  const access = await authorizer.access({ mountpoint, clientId, username })
  return !access.allow && isGone(access.reason)
}
