import { describe, it } from 'vitest'
import { CLUSTER_FAULTS } from './cluster.js'
import { DIVISION_FAULTS } from './division.js'
import { expectBound } from './expect.js'

describe('a revoked right ends within the bound, and nodes recover:', () => {
  it.each(CLUSTER_FAULTS)('$name', expectBound)
  it.each(DIVISION_FAULTS)('$name', expectBound)
})
