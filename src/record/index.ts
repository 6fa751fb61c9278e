/**
 * Records and their keys, as VerneMQ's Redis authentication stores them. Pure: runs in a browser.
 *
 * @module
 */
export { decodeRecordKey, encodeRecordKey, type RecordKeyParts, recordKeyWarnings } from './key.js'
export { type ParseOptions, parseRecord } from './parse.js'
export type { RecordLimits } from './place.js'
export { serializeRecord } from './serialize.js'
export type { AclRecord, JsonValue, RecordKey } from './types.js'
export { validateRecord } from './validate.js'
