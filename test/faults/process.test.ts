import { describe, it } from 'vitest'
import { expectBound } from './expect.js'
import { PROCESS_FAULTS } from './process.js'

describe('a revoked right ends within the bound, and nodes recover:', () => {
  it.each(PROCESS_FAULTS)('$name', expectBound)
})
