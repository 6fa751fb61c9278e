import type { EndpointServerOptions } from '../../endpoint/index.js'
import { readAuthority, readPair } from '../pem.js'

/** Files that make the server speak HTTPS. */
export interface TlsFiles {
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
}

/** Reads the files. */
export async function readTls({ tlsCert, tlsKey, tlsClientCa }: TlsFiles): Promise<EndpointServerOptions> {
  if (tlsCert === undefined || tlsKey === undefined) return {}
  const pair = await readPair({ option: '--tls-cert', path: tlsCert }, { option: '--tls-key', path: tlsKey })
  if (tlsClientCa === undefined) return { tls: pair }
  const ca = await readAuthority({ option: '--tls-client-ca', path: tlsClientCa })
  // Connections without a certificate are let in, for the pages; the endpoints refuse them.
  return { tls: { ...pair, ca, requestCert: true, rejectUnauthorized: false } }
}
