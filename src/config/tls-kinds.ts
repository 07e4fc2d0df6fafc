/** The kinds of value that only the TLS settings have; see kinds.ts. */
import type { Kind } from './kinds.ts';
import { choice, quoted, read, split, text, texts } from './kinds.ts';

export type SslMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** libpq knows `allow` too; PgBouncer treats it as `prefer`, and so do we. */
export const sslmode: Kind<SslMode> = {
  schema: choice('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full').schema.transform(
    (mode) => (mode === 'allow' ? 'prefer' : mode),
  ),
  show: String,
  toml: quoted,
};

const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof versions)[number];

/** A range, because that is what Node takes: PgBouncer's list must not have a gap. */
export interface TlsVersions {
  readonly min: TlsVersion;
  readonly max: TlsVersion;
}

const versionsByName: Readonly<Record<string, readonly TlsVersion[]>> = {
  secure: ['TLSv1.2', 'TLSv1.3'],
  default: ['TLSv1.2', 'TLSv1.3'],
  all: versions,
  tlsv1: versions,
  'tlsv1.0': ['TLSv1'],
  'tlsv1.1': ['TLSv1.1'],
  'tlsv1.2': ['TLSv1.2'],
  'tlsv1.3': ['TLSv1.3'],
};

const protocolsError =
  'must be "secure" (TLS 1.2 and 1.3), "all", or neighbours among tlsv1.0, tlsv1.1, tlsv1.2 and tlsv1.3';

export const tlsProtocols: Kind<TlsVersions> = {
  schema: read(texts, protocolsError, versionRange),
  show: versionNames,
  toml: (value) => quoted(versionNames(value)),
};

/** An OpenSSL cipher list; undefined leaves the choice to the library, as PgBouncer's `default` does. */
export const ciphers: Kind<string | undefined> = {
  schema: text.schema.transform((input) =>
    ['', 'default', 'secure', 'normal', 'fast'].includes(input.toLowerCase()) ? undefined : input,
  ),
  show: (value) => value ?? 'default',
  toml: (value) => quoted(value ?? 'default'),
};

function versionRange(input: string | readonly string[]): TlsVersions | undefined {
  const named = new Map(Object.entries(versionsByName));
  const chosen = new Set<TlsVersion>();
  for (const name of split(input, /[,:]/)) {
    const meant = named.get(name.toLowerCase());
    if (meant === undefined) return undefined;
    for (const version of meant) chosen.add(version);
  }
  const range = versions.slice(
    versions.findIndex((version) => chosen.has(version)),
    versions.findLastIndex((version) => chosen.has(version)) + 1,
  );
  const min = range[0];
  const max = range.at(-1);
  return min === undefined || max === undefined || range.length !== chosen.size ? undefined : { min, max };
}

function versionNames({ min, max }: TlsVersions): string {
  const range = versions.slice(versions.indexOf(min), versions.indexOf(max) + 1);
  return range.map((version) => (version === 'TLSv1' ? 'tlsv1.0' : version.toLowerCase())).join(',');
}
