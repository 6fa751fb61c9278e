import { hash } from 'node:crypto'

/** Bytes of one block of SHA-256, and of one value. */
const BLOCK = 64
const VALUE = 32

/** Bytes of text that there is room for at all times. */
const ROOM = 1_024

/**
 * Makes a function that computes HMAC-SHA-256 (RFC 2104) of texts in UTF-16 LE, with one character for each byte. It
 * computes what `createHmac` does, which makes an object for each value and so takes twice as long. The bytes of a text
 * are wiped as soon as they are read.
 *
 * @param key At most 64 bytes.
 */
export function createTextHmac(key: Uint8Array): (text: string) => string {
  const inner = padded(key, 0x36)
  const room = Buffer.concat([inner, Buffer.alloc(ROOM)])
  const outer = Buffer.concat([padded(key, 0x5c), Buffer.alloc(VALUE)])
  return text => {
    const size = 2 * text.length
    const input = size <= ROOM ? room : Buffer.concat([inner, Buffer.alloc(size)])
    const end = BLOCK + input.write(text, BLOCK, 'utf16le')
    outer.write(hash('sha256', input.subarray(0, end), 'binary'), BLOCK, 'binary')
    input.fill(0, BLOCK, end)
    return hash('sha256', outer, 'binary')
  }
}

function padded(key: Uint8Array, pad: number): Buffer {
  const block = Buffer.alloc(BLOCK, pad)
  for (const [at, byte] of key.entries()) block[at] = byte ^ pad
  return block
}
