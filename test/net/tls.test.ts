import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { Connection } from '../../src/net/connection.ts';
import type { TlsAcceptor } from '../../src/net/tls-acceptor.ts';
import { buildClientTls, buildServerTls } from '../../src/net/tls.ts';
import type { Built, SslMode, TlsSettings } from '../../src/net/tls.ts';
import { Authority, writeCertificate } from '../support/certificates.ts';
import { until } from '../support/wait.ts';
import { connectionPair, failOnFault, socketPair, Witness } from './pairs.ts';
import type { Pair } from './pairs.ts';

const directory = mkdtempSync(join(tmpdir(), 'ostler-tls-'));
after(() => rmSync(directory, { recursive: true }));

const authority = new Authority();
const stranger = new Authority('another CA');
const server = writeCertificate(authority.issue('localhost'), 'server', directory);
const client = writeCertificate(authority.issue('alice'), 'client', directory);
const strangerClient = writeCertificate(stranger.issue('alice'), 'stranger', directory);
const { certFile: caFile } = writeCertificate(authority.certificate, 'ca', directory);
const { certFile: strangerCaFile } = writeCertificate(stranger.certificate, 'stranger-ca', directory);
const secure = { min: 'TLSv1.2', max: 'TLSv1.3' } as const;

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

function settings(sslmode: SslMode, more: Partial<TlsSettings> = {}): TlsSettings {
  return { sslmode, protocols: secure, ...more };
}

function value<T>(built: Built<T | undefined>): T {
  assert.equal(built.kind === 'failed' ? built.problem : '', '');
  if (built.kind === 'failed' || built.value === undefined) throw new Error('nothing was built');
  return built.value;
}

function problem(built: Built<unknown>): string {
  return built.kind === 'failed' ? built.problem : 'nothing';
}

function acceptor(more: Partial<TlsSettings> = {}, sslmode: SslMode = 'require'): TlsAcceptor {
  return value(buildClientTls(settings(sslmode, { ...server, ...more }))).acceptor;
}

/** Both ends of a handshake; the errors of each, or undefined. */
async function handshake(
  accepting: TlsAcceptor,
  dialling: TlsSettings,
  host = 'localhost',
): Promise<{ readonly pair: Pair; readonly errors: readonly (string | undefined)[] }> {
  const pair = await connectionPair();
  const options = value(buildServerTls(dialling)).optionsFor(host);
  const results = await Promise.allSettled([
    pair.near.upgradeToTlsServer(accepting),
    pair.far.upgradeToTlsClient(options),
  ]);
  const errors = results.map((result) => (result.status === 'rejected' ? String(result.reason) : undefined));
  return { pair, errors };
}

async function close({ far, nearWitness, farWitness }: Pair): Promise<void> {
  far.destroy();
  await nearWitness.ended();
  await farWitness.ended();
}

describe('TLS on a connection', () => {
  test('carries bytes, and says what was agreed', async () => {
    const { pair, errors } = await handshake(acceptor(), settings('require'));
    assert.deepEqual(errors, [undefined, undefined]);
    pair.far.write(Buffer.from('secret'));
    assert.equal(String(await pair.nearWitness.hears(6)), 'secret');
    assert.equal(pair.near.tls?.protocol, 'TLSv1.3');
    assert.match(pair.near.tls.cipher, /^TLS_/);
    assert.equal(pair.near.tls.alpn, 'postgresql');
    assert.equal(pair.near.tls.authorized, false);
    assert.equal(pair.far.tls?.peerCertificateDer?.subarray(0, 1).toString('hex'), '30');
    assert.equal(pair.far.tls.peerCertificateDer.subarray(0, 1).toString('hex'), '30', 'and again');
    assert.equal(pair.near.remoteAddress, '127.0.0.1');
    await close(pair);
  });

  test('begins after a request in the clear, and hears nothing before the handshake is known to be done', async () => {
    const [accepted, dialled] = await socketPair();
    const near = new Connection(accepted, 'tcp', failOnFault);
    const inTheClear = new Witness();
    const witness = new Witness();
    near.owner = inTheClear;
    dialled.write('SSLRequest');
    await inTheClear.hears(10);
    near.write(Buffer.from('S'));
    const upgraded = near.upgradeToTlsServer(acceptor()).then(() => {
      assert.equal(inTheClear.length, 10);
      near.owner = witness;
    });
    await until(() => String(dialled.read()) === 'S', { what: 'the answer is here' });
    const secured = connectTls({ socket: dialled, host: 'localhost', ca: authority.certificate.cert });
    secured.on('secureConnect', () => secured.write('startup'));
    await upgraded;
    assert.equal(String(await witness.hears(7)), 'startup');
    secured.destroy();
    await witness.ended();
  });

  test('begins with bytes that were already read', async () => {
    const [accepted, dialled] = await socketPair();
    const near = new Connection(accepted, 'tcp', failOnFault);
    const witness = new Witness();
    const { promise: first, resolve } = Promise.withResolvers<Buffer>();
    near.owner = {
      received(chunk) {
        near.pause();
        near.owner = witness;
        resolve(Buffer.from(chunk));
        return true;
      },
      drained() {},
      closed() {},
    };
    const secured: TLSSocket = connectTls({
      socket: dialled,
      host: 'localhost',
      ca: authority.certificate.cert,
      ALPNProtocols: ['postgresql'],
    });
    secured.write('startup');
    const bytes = await first;
    assert.equal(bytes[0], 0x16);
    await near.upgradeToTlsServer(acceptor(), bytes);
    near.resume();
    assert.equal(String(await witness.hears(7)), 'startup');
    assert.equal(near.tls?.alpn, 'postgresql');
    secured.destroy();
    await witness.ended();
  });

  test('refuses bytes that came before the handshake, on either side', async () => {
    for (const side of ['server', 'client'] as const) {
      const [accepted, dialled] = await socketPair();
      const near = new Connection(accepted, 'tcp', failOnFault);
      const witness = new Witness();
      near.pause();
      near.owner = witness;
      dialled.write('stuffed');
      await until(() => accepted.readableLength > 0, { what: 'Node has read the bytes' });
      const upgrade = side === 'server' ? near.upgradeToTlsServer(acceptor()) : near.upgradeToTlsClient({});
      await assert.rejects(upgrade, /received unencrypted data before the TLS handshake/);
      assert.match(String(await witness.ended()), /received unencrypted data/);
      dialled.destroy();
    }
  });

  test('ends in an error, told once, when the peer talks garbage or leaves', async () => {
    for (const misbehave of ['garbage', 'fin', 'reset'] as const) {
      const [accepted, dialled] = await socketPair();
      dialled.on('error', () => {});
      const near = new Connection(accepted, 'tcp', failOnFault);
      const witness = new Witness();
      near.owner = witness;
      const upgrade = near.upgradeToTlsServer(acceptor());
      if (misbehave === 'garbage') dialled.write('GET / HTTP/1.1\r\n\r\n');
      else if (misbehave === 'fin') dialled.end();
      else dialled.resetAndDestroy();
      await assert.rejects(upgrade);
      await witness.ended();
      assert.equal(near.open, false);
      assert.equal(witness.ends.length, 1);
      dialled.destroy();
    }
  });

  test('can be given up in the middle of the handshake', async () => {
    const [accepted, dialled] = await socketPair();
    const near = new Connection(accepted, 'tcp', failOnFault);
    const witness = new Witness();
    near.owner = witness;
    const upgrade = near.upgradeToTlsServer(acceptor());
    near.destroy(new Error('client_login_timeout'));
    await assert.rejects(upgrade, /client_login_timeout/);
    assert.equal((await witness.ended())?.message, 'client_login_timeout');
    dialled.destroy();
  });

  test('ends with close_notify and FIN, after all that was queued', async () => {
    const { pair } = await handshake(acceptor(), settings('require'));
    const last = Buffer.alloc(300_000, 'w');
    pair.near.write(last);
    pair.near.end();
    assert.equal((await pair.farWitness.hears(last.length)).equals(last), true);
    assert.equal(await pair.farWitness.ended(), undefined);
    assert.equal(await pair.nearWitness.ended(), undefined);
  });

  test('resumes sessions', async () => {
    const accepting = acceptor();
    let session: Buffer | undefined;
    for (const resumed of [false, true]) {
      const [accepted, dialled] = await socketPair();
      const near = new Connection(accepted, 'tcp', failOnFault);
      const witness = new Witness();
      near.owner = witness;
      const upgraded = near.upgradeToTlsServer(accepting);
      const ca = authority.certificate.cert;
      const common = { socket: dialled, host: 'localhost', ca };
      const secured = connectTls(session === undefined ? common : { ...common, session });
      secured.on('session', (ticket) => (session = ticket));
      await upgraded;
      assert.equal(near.tls?.sessionReused, resumed);
      near.write(Buffer.from('x'));
      secured.resume();
      await until(() => session, { what: 'a ticket came' });
      secured.destroy();
      await witness.ended();
    }
  });
});

describe('sslmode towards servers', () => {
  test('verify-full wants an authority we trust and the right name', async () => {
    const trusted = settings('verify-full', { caFile });
    const right = await handshake(acceptor(), trusted);
    assert.deepEqual(right.errors, [undefined, undefined]);
    assert.equal(right.pair.far.tls?.authorized, true);
    await close(right.pair);
    const byAddress = await handshake(acceptor(), trusted, '127.0.0.1');
    assert.deepEqual(byAddress.errors, [undefined, undefined]);
    await close(byAddress.pair);
    for (const host of ['db.example', '10.1.1.1']) {
      const wrong = await handshake(acceptor(), trusted, host);
      assert.match(wrong.errors[1] ?? '', /does not match certificate/);
      await close(wrong.pair);
    }
    const unknown = await handshake(acceptor(), settings('verify-full', { caFile: strangerCaFile }));
    assert.match(unknown.errors[1] ?? '', /certificate/);
    await close(unknown.pair);
  });

  test('verify-ca leaves the name alone, require and prefer take any certificate', async () => {
    const otherName = await handshake(acceptor(), settings('verify-ca', { caFile }), 'db.example');
    assert.deepEqual(otherName.errors, [undefined, undefined]);
    await close(otherName.pair);
    const unknown = await handshake(acceptor(), settings('verify-ca', { caFile: strangerCaFile }));
    assert.notEqual(unknown.errors[1], undefined);
    await close(unknown.pair);
    for (const mode of ['require', 'prefer'] as const) {
      const any = await handshake(acceptor(), settings(mode, { caFile: strangerCaFile }), 'db.example');
      assert.deepEqual(any.errors, [undefined, undefined]);
      assert.equal(any.pair.far.tls?.authorized, false);
      await close(any.pair);
    }
  });

  test('sends the host name, but never an address, as the name of the server', () => {
    const tls = value(buildServerTls(settings('require')));
    assert.equal(tls.optionsFor('db.example').servername, 'db.example');
    assert.equal(tls.optionsFor('10.1.1.1').servername, undefined);
  });
});

describe('sslmode towards clients', () => {
  test('verify-ca and verify-full want a certificate of an authority we trust', async () => {
    for (const mode of ['verify-ca', 'verify-full'] as const) {
      const accepting = acceptor({ caFile }, mode);
      const known = await handshake(accepting, settings('require', client));
      assert.deepEqual(known.errors, [undefined, undefined]);
      assert.equal(known.pair.near.tls?.authorized, true);
      await close(known.pair);
      for (const credentials of [strangerClient, {}]) {
        const refused = await handshake(accepting, settings('require', credentials));
        assert.notEqual(refused.errors[0], undefined);
        await close(refused.pair);
      }
    }
  });

  test('needs a key and a certificate, and an authority to verify with', () => {
    assert.equal(
      problem(buildClientTls(settings('prefer'))),
      'client_tls_sslmode is "prefer", so client_tls_key_file and client_tls_cert_file must be set',
    );
    assert.equal(
      problem(buildClientTls(settings('verify-ca', server))),
      'client_tls_sslmode is "verify-ca", so client_tls_ca_file must be set',
    );
    assert.deepEqual(buildClientTls(settings('disable')), { kind: 'built', value: undefined });
    assert.deepEqual(buildServerTls(settings('disable')), { kind: 'built', value: undefined });
  });
});

describe('TLS settings', () => {
  test('keep to the versions they name', async () => {
    const old = acceptor({ protocols: { min: 'TLSv1.2', max: 'TLSv1.2' } });
    const { pair } = await handshake(old, settings('require'));
    assert.equal(pair.near.tls?.protocol, 'TLSv1.2');
    await close(pair);
    const only13 = settings('require', { protocols: { min: 'TLSv1.3', max: 'TLSv1.3' } });
    const refused = await handshake(old, only13);
    assert.notEqual(refused.errors[1], undefined);
    await close(refused.pair);
  });

  test('choose ciphers for TLS 1.2 without losing TLS 1.3, and suites for 1.3', async () => {
    const some = acceptor({
      ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
      tls13Ciphers: 'TLS_CHACHA20_POLY1305_SHA256',
    });
    const new13 = await handshake(some, settings('require'));
    assert.equal(new13.pair.near.tls?.cipher, 'TLS_CHACHA20_POLY1305_SHA256');
    await close(new13.pair);
    const old12 = await handshake(
      some,
      settings('require', { protocols: { min: 'TLSv1.2', max: 'TLSv1.2' } }),
    );
    assert.equal(old12.pair.near.tls?.cipher, 'ECDHE-ECDSA-AES128-GCM-SHA256');
    await close(old12.pair);
  });

  test('that cannot work are explained with the setting and the file', () => {
    const { keyFile, certFile } = server;
    const junk = file('junk.pem', 'junk');
    const broken = file('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const locked = file('locked.pem', '-----BEGIN ENCRYPTED PRIVATE KEY-----\n');
    const none = join(directory, 'none');
    const explain = (more: Partial<TlsSettings>): string =>
      problem(buildClientTls(settings('require', more)));
    assert.equal(explain({ certFile, keyFile: none }), `client_tls_key_file ${none}: no such file`);
    assert.equal(
      explain({ certFile, keyFile: junk }),
      `client_tls_key_file ${junk}: not a private key in PEM format`,
    );
    assert.match(explain({ certFile, keyFile: locked }), /client_tls_key_file .*passphrase/);
    assert.equal(
      explain({ certFile: junk, keyFile }),
      `client_tls_cert_file ${junk}: no certificate in PEM format`,
    );
    assert.match(
      explain({ certFile: broken, keyFile }),
      /client_tls_cert_file .*certificate 1 cannot be read/,
    );
    assert.match(
      explain({ certFile, keyFile: client.keyFile }),
      /the key does not belong to the certificate in .*server.crt/,
    );
    assert.match(
      explain({ ...server, ciphers: 'NOT-A-CIPHER' }),
      /^client_tls_ciphers or client_tls13_ciphers: /,
    );
    for (const tls13Ciphers of ['NOT-A-SUITE', 'TLS_AES_128_GCM_SHA256:TLS_NONE', 'AES128-SHA']) {
      assert.match(
        explain({ ...server, tls13Ciphers }),
        /^client_tls13_ciphers: "(NOT|TLS_NONE|AES).*" is no/,
      );
    }
    assert.match(explain({ certFile, keyFile: directory }), /client_tls_key_file .*: EISDIR/);
    assert.equal(
      problem(buildServerTls(settings('verify-ca', { caFile: junk }))),
      `server_tls_ca_file ${junk}: no certificate in PEM format`,
    );
    assert.equal(
      problem(buildServerTls(settings('require', { keyFile }))),
      'server_tls_key_file and server_tls_cert_file must be set together',
    );
  });

  test('have the same digest until a setting or the content of a file changes', () => {
    const path = file('changing.pem', authority.certificate.cert);
    const digest = (more: Partial<TlsSettings>): string =>
      value(buildServerTls(settings('verify-ca', { caFile: path, ...more }))).digest;
    const before = digest({});
    assert.equal(digest({}), before);
    assert.notEqual(digest({ sslmode: 'verify-full' }), before);
    file('changing.pem', stranger.certificate.cert);
    assert.notEqual(digest({}), before);
  });

  test('take the authorities of the system', () => {
    assert.equal(buildServerTls(settings('verify-full', { caFile: 'system' })).kind, 'built');
  });
});
