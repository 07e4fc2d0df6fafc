/** What was agreed in a TLS handshake, for the log, the console, channel binding and the checks of a login. */
import type { TLSSocket } from 'node:tls';

export interface TlsFacts {
  /** Such as TLSv1.3. */
  readonly protocol: string;
  readonly cipher: string;
  readonly alpn: string | undefined;
  /** The peer's leaf certificate, DER. */
  readonly peerCertificateDer: Buffer | undefined;
  /** The peer's certificate is signed by an authority we trust; false also where it showed none. */
  readonly authorized: boolean;
  readonly authorizationError: string | undefined;
  readonly sessionReused: boolean;
}

/** Of a socket that is destroyed only a part is known any more. */
export function tlsFacts(secured: TLSSocket): TlsFacts {
  const gone = secured.destroyed;
  const alpn = secured.alpnProtocol;
  const problem: unknown = secured.authorizationError;
  return {
    protocol: secured.getProtocol() ?? '',
    cipher: gone ? '' : secured.getCipher().name,
    alpn: typeof alpn === 'string' ? alpn : undefined,
    peerCertificateDer: gone ? undefined : secured.getPeerX509Certificate()?.raw,
    authorized: secured.authorized,
    authorizationError:
      problem instanceof Error ? problem.message : typeof problem === 'string' ? problem : undefined,
    sessionReused: !gone && secured.isSessionReused(),
  };
}
