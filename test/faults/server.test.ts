import { describe, it } from 'vitest'
import { expectBound } from './expect.js'
import { SERVER_FAULTS } from './server.js'

describe('a revoked right ends within the bound, and nodes recover:', () => {
  it.each(SERVER_FAULTS)('$name', expectBound)
})
