import { CommandFailure, lossOf } from './failure.js'
import { type Finding, found, ok } from './findings.js'
import type { Sentinels, SentinelView } from './sentinels.js'

const REACH = 'see that every sentinel that is listed runs, and can be reached from here'

/** What the sentinels that are listed say of the master, and whether they could replace it. */
export async function checkSentinels(sentinels: Sentinels, timeoutMs: number): Promise<readonly Finding[]> {
  const views = await sentinels.views(timeoutMs)
  const findings = [judgeVotes(sentinels, views)]
  const known = Math.max(...views.map(view => view.known ?? 0))
  if (known > views.length) {
    const message = `${known} sentinels watch the master, of which ${views.length} are listed`
    findings.push(found('sentinels', 'warning', message, 'list them all: a master is believed if most name it'))
  }
  const quorum = judgeQuorum(views)
  return quorum === undefined ? findings : [...findings, quorum]
}

function judgeVotes({ name, needed }: Sentinels, views: readonly SentinelView[]): Finding {
  const votes = new Map<string, number>()
  for (const { master } of views) if (master !== undefined) votes.set(master, (votes.get(master) ?? 0) + 1)
  const [place, count = 0] = [...votes].sort(([, a], [, b]) => b - a)[0] ?? []
  const verdict = `${count} of ${views.length} name ${place ?? 'nobody'} as the master ${JSON.stringify(name)}`
  if (count === views.length) return ok('sentinels', verdict)
  const others = views.filter(({ master }) => master !== place || place === undefined)
  const details = others.map(({ at, master, failure }) => `${at}: ${failure?.message ?? `names ${master}`}`)
  const message = [verdict, ...new Set(details)].join('; ')
  return found('sentinels', count < needed ? 'failed' : 'warning', message, sentinelRemedy(others))
}

/** What to do about the sentinels that do not name the master. */
function sentinelRemedy(others: readonly SentinelView[]): string {
  if (others.every(({ failure }) => failure?.code === 'NOPERM')) return 'grant +sentinel|get-master-addr-by-name'
  const isUnknown = others.every(({ isUnknown }) => isUnknown)
  return isUnknown ? "name the master as 'sentinel monitor' in their configuration does" : REACH
}

/** Whether enough sentinels see each other to replace the master, as one of them has it. */
function judgeQuorum(views: readonly SentinelView[]): Finding | undefined {
  const asked = views.flatMap(({ quorum }) => quorum ?? [])
  if (asked.length === 0) return undefined
  const short = asked.find(quorum => quorum instanceof CommandFailure && quorum.code === 'NOQUORUM')
  if (short !== undefined) {
    const remedy = 'start the sentinels that are missing: without them nobody replaces a master that dies'
    return found('quorum', 'warning', lossOf(short).message, remedy)
  }
  const seen = asked.find(quorum => typeof quorum === 'string')
  if (seen !== undefined) return ok('quorum', seen)
  return found('quorum', 'info', 'not known: the user may not ask the sentinels', 'grant +sentinel|ckquorum')
}
