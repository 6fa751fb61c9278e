export type { Limiter, LimiterLimits } from './limiter.js'
export { createMemoryStore, type MemoryStoreOptions } from './memory.js'
export { NotDurable } from './not-durable.js'
export type { LocalState, SharedState, Swapped } from './shared.js'
export type {
  ChangeEffects,
  Hearing,
  NodeInfo,
  Reaction,
  Receipt,
  ReceiptRow,
  RecordStore,
  SilentNode,
  StoredRecord,
  StoreEvent,
  StoreLink,
  StoreListener,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from './types.js'
