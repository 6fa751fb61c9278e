import { StoreUnavailable, WardenError } from '../errors.js'
import { type LocalState, MemoryShared, type SharedState, type Swapped } from '../store/shared.js'

/**
 * Shared state where this process may write it, and memory where it has no right to: a store whose user may only read
 * records lets clients in all the same. Which of both it is, the first write decides for good, so that nothing known by
 * one is forgotten for the other. A state that cannot be reached decides nothing.
 */
export class PermittedState implements SharedState {
  readonly #shared: SharedState
  readonly #max: number
  readonly #refused: (error: WardenError) => void
  #memory: MemoryShared | undefined
  #isPermitted = false
  #hasTold = false

  /**
   * @param max Most values that are kept in memory.
   * @param refused Hears once that it is memory, or that a right is missing later on.
   */
  constructor(shared: SharedState, max: number, refused: (error: WardenError) => void) {
    this.#shared = shared
    this.#max = max
    this.#refused = refused
  }

  get local(): LocalState | undefined {
    return (this.#memory ?? this.#shared).local
  }

  async get(name: string): Promise<string | undefined> {
    return this.#use(state => state.get(name))
  }

  async swap(...given: Parameters<SharedState['swap']>): Promise<Swapped> {
    const swapped = await this.#use(state => state.swap(...given))
    this.#isPermitted ||= this.#memory === undefined
    return swapped
  }

  async #use<T>(ask: (state: SharedState) => Promise<T>): Promise<T> {
    if (this.#memory !== undefined) return ask(this.#memory)
    try {
      return await ask(this.#shared)
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || !error.isForbidden) throw error
      if (this.#isPermitted) {
        this.#tell('who owns client ids cannot be written any more', error)
        throw error
      }
      this.#tell('who owns client ids is known to this process alone, and to no other node', error)
      // Several may have been refused at once.
      this.#memory ??= new MemoryShared(this.#max)
      return ask(this.#memory)
    }
  }

  #tell(what: string, cause: StoreUnavailable): void {
    if (this.#hasTold) return
    this.#hasTold = true
    const remedy = 'grant the rights for the shared state that the documentation of the store lists, then restart'
    this.#refused(new WardenError(`${what}: ${cause.message}; ${remedy}`, { cause }))
  }
}
