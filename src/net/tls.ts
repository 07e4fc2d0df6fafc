/**
 * TLS from settings: what we show clients, and what we demand of servers. Built at start and again by RELOAD; what cannot
 * be built is said in one sentence that names the setting and the file, and the caller keeps what it had.
 */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import * as tls from 'node:tls';
import type { ConnectionOptions, SecureContextOptions, SecureVersion } from 'node:tls';
import { TlsAcceptor } from './tls-acceptor.ts';

export type SslMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

export interface TlsSettings {
  readonly sslmode: SslMode;
  readonly keyFile?: string | undefined;
  readonly certFile?: string | undefined;
  /** `system` adds the authorities of the system to those that come with Node. */
  readonly caFile?: string | undefined;
  readonly protocols: { readonly min: SecureVersion; readonly max: SecureVersion };
  /** OpenSSL's list for TLS 1.2 and below; undefined leaves it to Node. */
  readonly ciphers?: string | undefined;
  /** The suites of TLS 1.3, with colons; undefined leaves it to Node. */
  readonly tls13Ciphers?: string | undefined;
}

export type Built<T> =
  { readonly kind: 'built'; readonly value: T } | { readonly kind: 'failed'; readonly problem: string };

/** TLS with clients. */
export interface ClientTls {
  readonly sslmode: Exclude<SslMode, 'disable'>;
  /** For `Connection.upgradeToTlsServer`. */
  readonly acceptor: TlsAcceptor;
  /** Equal for equal settings and equal contents of all files. */
  readonly digest: string;
}

/** TLS with servers. */
export interface ServerTls {
  readonly sslmode: Exclude<SslMode, 'disable'>;
  /** For `Connection.upgradeToTlsClient`; `host` is what the configuration calls the server. */
  optionsFor(host: string): ConnectionOptions;
  readonly digest: string;
}

/** PostgreSQL's name for its protocol (since 17); direct TLS requires it, after SSLRequest it is welcome. */
export const ALPN = 'postgresql';

/** From the client_tls_* settings; undefined when TLS is off. */
export function buildClientTls(settings: TlsSettings): Built<ClientTls | undefined> {
  const { sslmode } = settings;
  if (sslmode === 'disable') return { kind: 'built', value: undefined };
  return build(() => {
    checkSuites('client_tls', settings);
    const material = readMaterial('client_tls', settings);
    if (material.key === undefined || material.cert === undefined) {
      throw new Problem(
        `client_tls_sslmode is "${sslmode}", so client_tls_key_file and client_tls_cert_file must be set`,
      );
    }
    const verifies = sslmode === 'verify-ca' || sslmode === 'verify-full';
    if (verifies && material.ca === undefined) {
      throw new Problem(`client_tls_sslmode is "${sslmode}", so client_tls_ca_file must be set`);
    }
    const acceptor = refusing('client_tls', () => {
      return new TlsAcceptor({
        ...contextOptions(settings, material),
        ALPNProtocols: [ALPN],
        requestCert: verifies,
        rejectUnauthorized: verifies,
      });
    });
    return { sslmode, acceptor, digest: digestOf(settings, material) };
  });
}

/** From the server_tls_* settings; undefined when TLS is off. */
export function buildServerTls(settings: TlsSettings): Built<ServerTls | undefined> {
  const { sslmode } = settings;
  if (sslmode === 'disable') return { kind: 'built', value: undefined };
  return build(() => {
    checkSuites('server_tls', settings);
    const material = readMaterial('server_tls', settings);
    const secureContext = refusing('server_tls', () =>
      tls.createSecureContext(contextOptions(settings, material)),
    );
    const verifies = sslmode === 'verify-ca' || sslmode === 'verify-full';
    const common: ConnectionOptions = {
      secureContext,
      ALPNProtocols: [ALPN],
      rejectUnauthorized: verifies,
      ...(sslmode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    };
    const optionsFor = (host: string): ConnectionOptions =>
      // An IP address must not be sent as a server name (RFC 6066), but is compared with the certificate all the same.
      isIP(host) === 0 ? { ...common, host, servername: host } : { ...common, host };
    return { sslmode, optionsFor, digest: digestOf(settings, material) };
  });
}

/** Something is wrong with the settings or the files; the message is for the person who wrote them. */
class Problem extends Error {}

function build<T>(make: () => T): Built<T> {
  try {
    return { kind: 'built', value: make() };
  } catch (error) {
    if (error instanceof Problem) return { kind: 'failed', problem: error.message };
    throw error;
  }
}

interface Material {
  readonly key: string | undefined;
  readonly cert: string | undefined;
  readonly ca: readonly string[] | undefined;
}

function readMaterial(
  prefix: 'client_tls' | 'server_tls',
  { keyFile, certFile, caFile }: TlsSettings,
): Material {
  const keyPlace = `${prefix}_key_file ${keyFile ?? ''}`;
  const certPlace = `${prefix}_cert_file ${certFile ?? ''}`;
  const key = keyFile === undefined ? undefined : readFile(keyPlace, keyFile);
  const cert = certFile === undefined ? undefined : readFile(certPlace, certFile);
  if ((key === undefined) !== (cert === undefined)) {
    throw new Problem(`${prefix}_key_file and ${prefix}_cert_file must be set together`);
  }
  if (key !== undefined && cert !== undefined) {
    const [leaf] = parseCertificates(certPlace, cert);
    if (leaf?.checkPrivateKey(parseKey(keyPlace, key)) !== true) {
      throw new Problem(`${keyPlace}: the key does not belong to the certificate in ${certFile ?? ''}`);
    }
  }
  return { key, cert, ca: authorities(`${prefix}_ca_file`, caFile) };
}

/** What is no suite of TLS 1.3 would be taken for a cipher of TLS 1.2 or passed over, and with it TLS 1.3. */
function checkSuites(prefix: 'client_tls' | 'server_tls', { tls13Ciphers = '' }: TlsSettings): void {
  const known = new Set(tls.getCiphers().filter((name) => name.startsWith('tls_')));
  const wrong = tls13Ciphers.split(':').find((name) => name !== '' && !known.has(name.toLowerCase()));
  if (wrong !== undefined) {
    const names = [...known].join(', ').toUpperCase();
    throw new Problem(`${prefix}13_ciphers: "${wrong}" is no suite of TLS 1.3; those are ${names}`);
  }
}

function authorities(setting: string, caFile: string | undefined): readonly string[] | undefined {
  if (caFile === undefined) return undefined;
  if (caFile === 'system') return [...tls.rootCertificates, ...systemCertificates()];
  const place = `${setting} ${caFile}`;
  return parseCertificates(place, readFile(place, caFile)).map(String);
}

/** Node can read the system's authorities since 22.15. */
function systemCertificates(): readonly string[] {
  return typeof tls.getCACertificates === 'function' ? tls.getCACertificates('system') : [];
}

function readFile(place: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') throw new Problem(`${place}: no such file`);
    if (code === 'EACCES') throw new Problem(`${place}: permission denied`);
    throw new Problem(`${place}: ${messageOf(error)}`);
  }
}

function parseKey(place: string, pem: string): KeyObject {
  if (pem.includes('ENCRYPTED'))
    throw new Problem(`${place}: the key is protected by a passphrase, which is not supported`);
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Problem(`${place}: not a private key in PEM format`);
  }
}

/** One by one, because OpenSSL silently passes over what it cannot read. */
function parseCertificates(place: string, pem: string): readonly X509Certificate[] {
  const blocks = pem.match(
    /-----BEGIN (TRUSTED )?CERTIFICATE-----[^-]*-----END (TRUSTED )?CERTIFICATE-----/g,
  );
  if (blocks === null) throw new Problem(`${place}: no certificate in PEM format`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Problem(`${place}: certificate ${index + 1} cannot be read (${messageOf(error)})`);
    }
  });
}

function contextOptions(settings: TlsSettings, { key, cert, ca }: Material): SecureContextOptions {
  return {
    ...(key === undefined ? {} : { key }),
    ...(cert === undefined ? {} : { cert }),
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ciphers: cipherList(settings),
    minVersion: settings.protocols.min,
    maxVersion: settings.protocols.max,
  };
}

/** Node takes both kinds in one list and switches TLS 1.3 off when none of its suites is there. */
function cipherList({ ciphers, tls13Ciphers }: TlsSettings): string {
  const usual = tls.DEFAULT_CIPHERS.split(':');
  const is13 = (name: string): boolean => name.startsWith('TLS_');
  const suites = tls13Ciphers ?? usual.filter(is13).join(':');
  const others = ciphers ?? usual.filter((name) => !is13(name)).join(':');
  return `${suites}:${others}`;
}

/** What OpenSSL says is short, but each file has been checked before: what is left is mostly the ciphers. */
function refusing<T>(prefix: 'client_tls' | 'server_tls', make: () => T): T {
  try {
    return make();
  } catch (error) {
    const message = messageOf(error);
    const settings = /cipher/i.test(message)
      ? `${prefix}_ciphers or ${prefix}13_ciphers`
      : `${prefix}_* settings`;
    throw new Problem(`${settings}: ${message}`);
  }
}

function digestOf(settings: TlsSettings, material: Material): string {
  return createHash('sha256')
    .update(JSON.stringify([settings, material]))
    .digest('hex');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
