import { WardenError } from '../errors.js'
import type { WriteResult } from './types.js'

/**
 * A write was carried out, and fewer replicas have it than `minReplicas` demands: should the master be lost now, the
 * write may be lost with it. It counts all the same; `result` says what it did. Writing the same once more does no
 * harm.
 */
export class NotDurable extends WardenError {
  static override readonly code = 'ERR_NOT_DURABLE'
  override readonly code = 'ERR_NOT_DURABLE'
  /** What the write did, with the number of replicas and the receipt, if one was asked for. */
  readonly result: WriteResult

  constructor(result: WriteResult, minReplicas: number) {
    super(`not_durable: written, but ${result.replicas ?? 0} of ${minReplicas} demanded replicas have it`)
    this.result = result
  }
}
