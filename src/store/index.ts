export { createMemoryStore, type MemoryStoreOptions } from './memory.js'
export type {
  RecordStore,
  StoredRecord,
  StoreEvent,
  StoreListener,
  WriteOptions,
  WriteResult,
} from './types.js'
