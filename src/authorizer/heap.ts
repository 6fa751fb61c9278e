/** Numbers of which the least is always at hand: a binary heap, each step at the cost of the logarithm of its size. */
export class MinHeap {
  #items: number[] = []

  get size(): number {
    return this.#items.length
  }

  /** The least. */
  get first(): number | undefined {
    return this.#items[0]
  }

  push(item: number): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (items[parent]! <= item) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = item
  }

  /** Takes the least away. */
  shift(): number | undefined {
    const [first] = this.#items
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) this.#sink(0, last)
    return first
  }

  /** Holds these, and no others. Costs their number. */
  refill(items: Iterable<number>): void {
    this.#items = [...items]
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#sink(at, this.#items[at]!)
  }

  /** Puts an item into the place of another, or below it. */
  #sink(from: number, item: number): void {
    const items = this.#items
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++
      if (items[child]! >= item) break
      items[at] = items[child]!
      at = child
    }
    items[at] = item
  }
}
