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

/** Acts when it is called first. */
export function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}
