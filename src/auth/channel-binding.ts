/**
 * Channel binding of type tls-server-end-point (RFC 5929 §4): a hash of the server's certificate, by the hash that its own signature
 * uses, where MD5 and SHA-1 give way to SHA-256.
 *
 *     Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, parameters }, signature BIT STRING }
 *
 * Node 22 does not tell a certificate's signature algorithm, and no Node tells the hash in RSA-PSS parameters, hence this short walk.
 */
import { hash } from 'node:crypto';

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const CONTEXT_0 = 0xa0;

/** Signature algorithms (RFC 3279, 4055, 5758) and plain hashes by the content of their OID, in hexadecimal. */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d010104', 'sha256'], // md5WithRSAEncryption
  ['2a864886f70d010105', 'sha256'], // sha1WithRSAEncryption
  ['2a864886f70d01010e', 'sha224'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010f', 'sha512-224'],
  ['2a864886f70d010110', 'sha512-256'],
  ['2a8648ce3d0401', 'sha256'], // ecdsa-with-SHA1
  ['2a8648ce3d040301', 'sha224'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
]);
const RSASSA_PSS = '2a864886f70d01010a';
const PLAIN_HASHES: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d0205', 'sha256'], // md5
  ['2b0e03021a', 'sha256'], // sha1
  ['608648016503040204', 'sha224'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);

/** The binding data, or undefined where none is defined (Ed25519 and Ed448 sign without a separate hash) or this is no certificate. */
export function tlsServerEndPoint(certificateDer: Buffer): Buffer | undefined {
  const name = signatureHash(certificateDer);
  return name === undefined ? undefined : hash(name, certificateDer, 'buffer');
}

function signatureHash(certificateDer: Buffer): string | undefined {
  const [signed, algorithm] = children(only(certificateDer, SEQUENCE));
  if (signed?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE) return undefined;
  const [identifier, parameters] = children(algorithm.content);
  if (identifier?.tag !== OBJECT_IDENTIFIER) return undefined;
  const oid = identifier.content.toString('hex');
  if (oid !== RSASSA_PSS) return SIGNATURE_HASHES.get(oid);
  return parameters?.tag === SEQUENCE ? pssHash(parameters.content) : undefined;
}

/** RSASSA-PSS-params (RFC 4055 §3.1): `[0] AlgorithmIdentifier` comes first, and is left out for SHA-1. */
function pssHash(parameters: Buffer): string | undefined {
  const [first] = children(parameters);
  if (first?.tag !== CONTEXT_0) return 'sha256';
  const [identifier] = children(only(first.content, SEQUENCE));
  if (identifier?.tag !== OBJECT_IDENTIFIER) return undefined;
  return PLAIN_HASHES.get(identifier.content.toString('hex'));
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Where the next element begins. */
  readonly end: number;
}

/** The content of the first element if it has this tag; else nothing. */
function only(bytes: Buffer, tag: number): Buffer {
  const [element] = children(bytes);
  return element?.tag === tag ? element.content : Buffer.alloc(0);
}

/** The first elements of a constructed value, as far as they are whole; nothing here looks at more than two. */
function children(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  let offset = 0;
  while (elements.length < 2) {
    const element = elementAt(bytes, offset);
    if (element === undefined) break;
    elements.push(element);
    offset = element.end;
  }
  return elements;
}

function elementAt(bytes: Buffer, offset: number): Element | undefined {
  const tag = bytes[offset];
  const short = bytes[offset + 1];
  if (tag === undefined || short === undefined) return undefined;
  let start = offset + 2;
  let length = short;
  if (short >= 0x80) {
    const size = short & 0x7f;
    // 0x80 alone is the indefinite length, which DER forbids; four bytes are more than any certificate needs.
    if (size === 0 || size > 4 || start + size > bytes.length) return undefined;
    length = bytes.readUIntBE(start, size);
    start += size;
  }
  const end = start + length;
  return end > bytes.length ? undefined : { tag, content: bytes.subarray(start, end), end };
}
