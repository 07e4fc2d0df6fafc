/**
 * Certificates for tests, made on the spot: Node signs but cannot write X.509, so the little DER that it takes is here
 * (RFC 5280). An authority signs leaves for names and addresses; everything comes as PEM, or as files in a folder.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  readonly commonName: string;
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS#8. */
  readonly key: string;
  readonly der: Buffer;
}

export interface CertificateOptions {
  /** DNS names and IP addresses for subjectAltName. Default: localhost, 127.0.0.1 and ::1. */
  readonly altNames?: readonly string[];
  readonly keyType?: 'ec' | 'rsa';
  /** From a day ago until so many days from now; a negative number makes one that has run out. Default 30. */
  readonly days?: number;
}

export class Authority {
  readonly certificate: Certificate;
  readonly #key: KeyObject;

  constructor(commonName = 'ostler test CA', options: CertificateOptions = {}) {
    const pair = newKeyPair(options.keyType);
    this.#key = pair.privateKey;
    this.certificate = certify({
      commonName,
      issuer: commonName,
      pair,
      signingKey: this.#key,
      days: options.days ?? 30,
      extensions: [
        extension(OID.basicConstraints, true, sequence(TRUE)),
        extension(OID.keyUsage, true, bitString(Buffer.from([0x06]), 1)), // keyCertSign, cRLSign
        extension(OID.subjectKeyIdentifier, false, octetString(keyIdentifier(pair.publicKey))),
      ],
    });
  }

  /** A leaf for a server or a client (both usages are in it). */
  issue(commonName = 'localhost', options: CertificateOptions = {}): Certificate {
    const pair = newKeyPair(options.keyType);
    const altNames = options.altNames ?? ['localhost', '127.0.0.1', '::1'];
    return certify({
      commonName,
      issuer: this.certificate.commonName,
      pair,
      signingKey: this.#key,
      days: options.days ?? 30,
      extensions: [
        extension(OID.basicConstraints, true, sequence()),
        extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
        ...(altNames.length === 0
          ? []
          : [extension(OID.subjectAltName, false, sequence(...altNames.map(generalName)))]),
      ],
    });
  }
}

/** Writes NAME.crt and NAME.key and returns their paths. The key's mode is 0600, as PostgreSQL demands. */
export function writeCertificate(
  certificate: Certificate,
  name: string,
  directory: string = mkdtempSync(join(tmpdir(), 'ostler-certs-')),
): { readonly certFile: string; readonly keyFile: string } {
  mkdirSync(directory, { recursive: true });
  const certFile = join(directory, `${name}.crt`);
  const keyFile = join(directory, `${name}.key`);
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key, { mode: 0o600 });
  return { certFile, keyFile };
}

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  subjectKeyIdentifier: '2.5.29.14',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

function newKeyPair(type: 'ec' | 'rsa' = 'ec'): KeyPair {
  return type === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
}

interface Request {
  readonly commonName: string;
  readonly issuer: string;
  readonly pair: KeyPair;
  readonly signingKey: KeyObject;
  readonly days: number;
  readonly extensions: readonly Buffer[];
}

function certify(request: Request): Certificate {
  const algorithm =
    request.signingKey.asymmetricKeyType === 'rsa'
      ? sequence(oid(OID.rsaWithSha256), tlv(0x05, Buffer.alloc(0)))
      : sequence(oid(OID.ecdsaWithSha256));
  const until = Date.now() + request.days * DAY;
  const toBeSigned = sequence(
    tlv(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number, positive
    algorithm,
    distinguishedName(request.issuer),
    sequence(time(Math.min(until, Date.now()) - DAY), time(until)),
    distinguishedName(request.commonName),
    request.pair.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...request.extensions)),
  );
  const der = sequence(toBeSigned, algorithm, bitString(sign('sha256', toBeSigned, request.signingKey), 0));
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return {
    commonName: request.commonName,
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: request.pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    der,
  };
}

const DAY = 86_400_000;
const TRUE = Buffer.from([0x01, 0x01, 0xff]);

/** Tag, length in the shortest form (DER demands it; nothing here reaches 64 KB), value. */
function tlv(tag: number, value: Buffer): Buffer {
  const length =
    value.length < 128
      ? [value.length]
      : value.length < 256
        ? [0x81, value.length]
        : [0x82, Math.floor(value.length / 256), value.length % 256];
  return Buffer.concat([Buffer.from([tag, ...length]), value]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function integer(value: Buffer): Buffer {
  return tlv(0x02, value);
}

function octetString(value: Buffer): Buffer {
  return tlv(0x04, value);
}

function bitString(value: Buffer, unusedBits: number): Buffer {
  return tlv(0x03, Buffer.concat([Buffer.from([unusedBits]), value]));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left % 128) + 128);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

/** GeneralizedTime would be wrong before 2050: RFC 5280 wants UTCTime there. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return tlv(0x17, Buffer.from(`${digits}Z`));
}

function distinguishedName(commonName: string): Buffer {
  const attribute = sequence(oid(OID.commonName), tlv(0x0c, Buffer.from(commonName)));
  return sequence(tlv(0x31, attribute));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [TRUE] : []), octetString(value));
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? tlv(0x82, Buffer.from(name)) : tlv(0x87, addressBytes(name));
}

function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const groups = (part: string): string[] => part.split(':').filter((group) => group !== '');
  const zeros = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: zeros }, () => '0'), ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}
