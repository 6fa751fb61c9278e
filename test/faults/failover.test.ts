import { describe, it } from 'vitest'
import { expectBound } from './expect.js'
import { FAILOVER_FAULTS } from './failover.js'

describe('a revoked right ends within the bound, and nodes recover:', () => {
  it.each(FAILOVER_FAULTS)('$name', expectBound)
})
