/** The remote address of a client, or what tells it. */
export type AddressSource = string | (() => string | undefined) | undefined

/** A client that can tell where it is. */
export interface Placed {
  readonly address: string | undefined
}

/** Asks for an address. Who asks a source in vain, or one that fails, knows of none. */
export function addressFrom(source: AddressSource): string | undefined {
  try {
    const address: unknown = typeof source === 'function' ? source() : source
    return typeof address === 'string' ? address : undefined
  } catch {
    return undefined
  }
}
