import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/helpers/sequencer.js'

/** What is run once more on Valkey. */
const ON_VALKEY = ['link', 'watch', 'check', 'cluster', 'contract', 'failover', 'limiter', 'receipts', 'shared']

// Where everything has to be tested, a missing Valkey is a failure of its tests; elsewhere they are left out.
const hasValkey = Boolean(process.env.CI) || spawnSync('valkey-server', ['--version']).status === 0
if (!hasValkey)
  process.stderr.write('valkey-server is not installed: its tests are left out (npm run setup tells why)\n')

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/reporter.ts'],
    // Tests that hash, or that start brokers and servers, share two cores with them.
    testTimeout: 40_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Much of the time goes by in waiting for servers, beats and deadlines.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'all', include: ['test/**/*.test.ts'] } },
      ...(hasValkey
        ? [
            {
              extends: true as const,
              test: {
                name: 'valkey',
                include: ON_VALKEY.map(name => `test/redis/${name}.test.ts`),
                env: { TEST_ENGINE: 'valkey' },
              },
            },
          ]
        : []),
    ],
  },
})
