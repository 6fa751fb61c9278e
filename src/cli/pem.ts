import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { CliFault } from './io.js'

/** A file, and the option that names it. */
export interface PemFile {
  readonly option: string
  readonly path: string
}

/** Reads the certificate of an authority. */
export async function readAuthority({ option, path }: PemFile): Promise<Buffer> {
  const ca = await readPem(path)
  parseCertificate(ca, `${option} ${path}`)
  return ca
}

/** Reads a certificate and its key, and finds out now what would only show at the first connection. */
export async function readPair(certFile: PemFile, keyFile: PemFile): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = [await readPem(certFile.path), await readPem(keyFile.path)]
  const what = `${keyFile.option} ${keyFile.path}`
  if (!parseCertificate(cert, `${certFile.option} ${certFile.path}`).checkPrivateKey(parseKey(key, what))) {
    throw new CliFault(`${what}: is not the key of the certificate ${certFile.path}, which must come first there`)
  }
  return { cert, key }
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new CliFault(`${path}: ${(error as Error).message}`)
  }
}

function parseCertificate(pem: Buffer, what: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new CliFault(`${what}: holds no certificate in PEM`)
  }
}

function parseKey(pem: Buffer, what: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    const isLocked = pem.includes('ENCRYPTED')
    throw new CliFault(`${what}: ${isLocked ? 'needs a passphrase: take it off' : 'holds no private key in PEM'}`)
  }
}
