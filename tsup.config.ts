import { defineConfig } from 'tsup'

/** The entry points of the package, by subpath; the main one is `index`. */
const ENTRIES = {
  index: 'src/index.ts',
  acl: 'src/acl/index.ts',
  record: 'src/record/index.ts',
  redis: 'src/redis/index.ts',
  aedes: 'src/aedes/index.ts',
  broker: 'src/broker/index.ts',
  vernemq: 'src/vernemq/index.ts',
  http: 'src/http/index.ts',
}

// One build with splitting: separate builds would copy shared classes, and `instanceof` across subpaths would fail.
// The output is flat, so that `new URL('./hash-worker.js', import.meta.url)` holds from every chunk.
export default defineConfig({
  entry: {
    ...ENTRIES,
    cli: 'src/cli/index.ts',
    'hash-worker': 'src/password/hash-worker.ts',
  },
  format: ['esm'],
  target: 'node20',
  platform: 'neutral',
  external: [/^node:/],
  splitting: true,
  sourcemap: true,
  clean: true,
  dts: { entry: ENTRIES },
  removeNodeProtocol: false,
})
