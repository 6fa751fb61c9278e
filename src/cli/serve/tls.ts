import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { EndpointServerOptions } from '../../endpoint/index.js'
import { CliFault } from '../io.js'

/** Files that make the server speak HTTPS. */
export interface TlsFiles {
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
}

/** Reads the files, and finds out now what would only show at the first connection. */
export async function readTls({ tlsCert, tlsKey, tlsClientCa }: TlsFiles): Promise<EndpointServerOptions> {
  if (tlsCert === undefined || tlsKey === undefined) return {}
  const [cert, key] = [await readPem(tlsCert), await readPem(tlsKey)]
  if (!readCertificate(cert, `--tls-cert ${tlsCert}`).checkPrivateKey(readKey(key, `--tls-key ${tlsKey}`))) {
    throw new CliFault(`--tls-key ${tlsKey}: is not the key of the certificate ${tlsCert}, which must come first there`)
  }
  if (tlsClientCa === undefined) return { tls: { cert, key } }
  const ca = await readPem(tlsClientCa)
  readCertificate(ca, `--tls-client-ca ${tlsClientCa}`)
  // Connections without a certificate are let in, for the pages; the endpoints refuse them.
  return { tls: { cert, key, ca, requestCert: true, rejectUnauthorized: false } }
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new CliFault(`${path}: ${(error as Error).message}`)
  }
}

function readCertificate(pem: Buffer, what: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new CliFault(`${what}: holds no certificate in PEM`)
  }
}

function readKey(pem: Buffer, what: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    const isLocked = pem.includes('ENCRYPTED')
    throw new CliFault(`${what}: ${isLocked ? 'needs a passphrase: take it off' : 'holds no private key in PEM'}`)
  }
}
