// Lists of listeners are replaced and never changed, so that one being called may come off. They are made of the exact
// size: a session has one of each kind, and there are many sessions.

/** The list with one more. */
export function appended<T>(list: readonly T[] | undefined, item: T): readonly T[] {
  return list === undefined ? [item] : list.concat(item)
}

/** The list without the first of these, if there is one. */
export function without<T>(list: readonly T[] | undefined, item: T): readonly T[] | undefined {
  if (list === undefined) return undefined
  const index = list.indexOf(item)
  return index === -1 ? list : list.toSpliced(index, 1)
}

/** Acts when it is called first. */
export function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}
