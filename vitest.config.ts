import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/helpers/reporter.ts'],
    // Tests that hash, or that start brokers and servers, share two cores with them.
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: 'forks',
  },
})
