/** What to do about a failure, by what is in its message. */
const REMEDIES: readonly (readonly [sign: RegExp, remedy: string])[] = [
  [/\b(?:WRONGPASS|NOAUTH)\b/, 'see the user name and the password'],
  [/\bNOPERM\b/, '"mqtt-warden doctor" lists the rights that are missing'],
  [/\bREADONLY\b/, 'it is a replica: name the master, or the sentinels that know it (redis+sentinel://)'],
  [/\bNOREPLICAS\b/, 'see that its replicas run: it takes no writes without them'],
  [/\bMOVED\b|is one of a Cluster/, 'it is one of a Cluster: name that (redis+cluster://)'],
  [/\bOOM\b/, 'give Redis more memory'],
  [/\bMISCONF\b/, 'see the log of Redis: it cannot save to its disk, and takes no writes'],
  [/\bLOADING\b/, 'wait until Redis has loaded its data'],
  [/unknown command 'sentinel'/i, 'no sentinel is there: name a server (redis://)'],
  [/does not know the master/, "name the master as 'sentinel monitor' does"],
  [/cluster support disabled/, 'it is no Cluster: name a server (redis://)'],
  [/DB index is out of range/, 'name a database that it has'],
  [
    /certificate required|handshake failure/,
    'it wants a certificate of the client: set its tls-auth-clients to no, or hand createRedisStore options with tls',
  ],
  [/certificate/i, 'see the certificate of Redis: NODE_EXTRA_CA_CERTS names a file with an authority of your own'],
  [/no connection within|wrong version number/, 'see that Redis can be reached, and whether it speaks TLS (rediss://)'],
  [/\b(?:ECONN\w+|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)\b/, 'see that Redis runs and can be reached'],
]

/** What to do about a failure of Redis; `undefined` where its message has to do. */
export function remedyFor(message: string): string | undefined {
  return REMEDIES.find(([sign]) => sign.test(message))?.[1]
}
