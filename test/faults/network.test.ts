import { describe, it } from 'vitest'
import { expectBound } from './expect.js'
import { NETWORK_FAULTS } from './network.js'

describe('a revoked right ends within the bound, and nodes recover:', () => {
  it.each(NETWORK_FAULTS)('$name', expectBound)
})
