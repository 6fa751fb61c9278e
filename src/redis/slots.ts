/** Number of hash slots of every Redis Cluster. */
const SLOT_COUNT = 16_384

/** CRC-16/XMODEM, the checksum that Redis Cluster spreads keys by. */
function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc
}

/** Slot of a key: only what stands between the first `{` and the next `}` counts, unless that is nothing. */
export function slotOf(key: Buffer): number {
  const open = key.indexOf('{')
  const close = open === -1 ? -1 : key.indexOf('}', open + 1)
  return crc16(close > open + 1 ? key.subarray(open + 1, close) : key) % SLOT_COUNT
}

/** A hash tag whose slot is among those wanted. */
export function tagFor(owns: (slot: number) => boolean): string {
  for (let n = 0; n < SLOT_COUNT * 32; n++) {
    const tag = `{${n.toString(36)}}`
    if (owns(slotOf(Buffer.from(tag)))) return tag
  }
  throw new RangeError('no hash tag leads to any of these slots')
}
