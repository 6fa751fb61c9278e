export { createMemoryStore, type MemoryStoreOptions } from './memory.js'
export type { SharedState, Swapped } from './shared.js'
export type {
  RecordStore,
  StoredRecord,
  StoreEvent,
  StoreListener,
  WriteOptions,
  WriteResult,
} from './types.js'
