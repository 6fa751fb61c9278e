import { sumEffects } from '../store/listeners.js'
import type { ChangeEffects, Reaction } from '../store/types.js'

// Listeners are held as what there is: most sessions have one of each kind, and there are many sessions. Lists are
// replaced and never changed, so that one being called may come off.

/** Nothing, one listener, or several. */
export type Listeners<L> = L | readonly L[] | undefined

type Listener = (...args: never[]) => unknown

/** The listeners with one more. */
export function appended<L extends Listener>(listeners: Listeners<L>, added: L): Listeners<L> {
  return listeners === undefined ? added : [...listOf(listeners), added]
}

/** The listeners without the first of these, if there is one. */
export function without<L extends Listener>(listeners: Listeners<L>, removed: L): Listeners<L> {
  if (listeners === removed) return undefined
  const list = listOf(listeners)
  const index = list.indexOf(removed)
  return index === -1 ? listeners : list.toSpliced(index, 1)
}

/** The listeners as a list. */
export function listOf<L extends Listener>(listeners: Listeners<L>): readonly L[] {
  if (listeners === undefined) return []
  return typeof listeners === 'function' ? [listeners] : listeners
}

/**
 * Calls listeners within the turn. Resolves with what they did when all have finished; never rejects.
 *
 * @param failed Hears what a listener threw or rejected with, and puts it in words where it has none.
 */
export function callAll<L extends Listener>(
  listeners: Listeners<L>,
  call: (listener: L) => Reaction,
  failed: (error: unknown) => string,
): Promise<ChangeEffects> | undefined {
  if (listeners === undefined) return undefined
  const told = listOf(listeners).map(async listener => {
    try {
      return (await call(listener)) ?? undefined
    } catch (error) {
      const words = failed(error)
      return { failed: error instanceof Error ? error.message : words }
    }
  })
  return Promise.all(told).then(sumEffects)
}
