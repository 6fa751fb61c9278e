export { createMemoryStore, type MemoryStoreOptions } from './memory.js'
export type { SharedState, Swapped } from './shared.js'
export type {
  Hearing,
  RecordStore,
  StoredRecord,
  StoreEvent,
  StoreLink,
  StoreListener,
  WriteOptions,
  WriteResult,
} from './types.js'
