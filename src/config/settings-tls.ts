/** Settings of TLS, towards clients and towards servers. */
import { optionalText } from './kinds.ts';
import { optional, setting } from './setting.ts';
import { ciphers, sslmode, tlsProtocols } from './tls-kinds.ts';

const reload = 'new connections';

export const clientTls = {
  client_tls_sslmode: setting(sslmode, {
    default: 'disable',
    reload,
    help: 'TLS with clients: "disable", "prefer" (if the client asks), "require", "verify-ca" or "verify-full" (with a client certificate).',
  }),
  client_tls_key_file: optional(optionalText, { reload, help: 'Private key, PEM. Read again by RELOAD.' }),
  client_tls_cert_file: optional(optionalText, {
    reload,
    help: 'Certificate with its chain, PEM. Read again by RELOAD.',
  }),
  client_tls_ca_file: optional(optionalText, {
    reload,
    help: 'Authorities that client certificates are checked against, PEM.',
  }),
  client_tls_protocols: setting(tlsProtocols, {
    default: 'secure',
    reload,
    help: 'TLS versions for clients; "secure" is 1.2 and 1.3.',
  }),
  client_tls_ciphers: setting(ciphers, {
    default: 'default',
    reload,
    help: 'OpenSSL cipher list for clients, up to TLS 1.2.',
  }),
  client_tls13_ciphers: setting(ciphers, {
    default: 'default',
    reload,
    help: 'TLS 1.3 cipher suites for clients, with colons.',
  }),
};

export const serverTls = {
  server_tls_sslmode: setting(sslmode, {
    default: 'prefer',
    reload,
    help: 'TLS to servers: "disable", "prefer" (if the server has it), "require", "verify-ca" or "verify-full" (the host name too).',
  }),
  server_tls_ca_file: optional(optionalText, {
    reload,
    help: 'Authorities that server certificates are checked against, PEM; "system" for the public ones.',
  }),
  server_tls_key_file: optional(optionalText, {
    reload,
    help: 'Private key of our client certificate, PEM.',
  }),
  server_tls_cert_file: optional(optionalText, { reload, help: 'Our client certificate, PEM.' }),
  server_tls_protocols: setting(tlsProtocols, {
    default: 'secure',
    reload,
    help: 'TLS versions for servers; "secure" is 1.2 and 1.3.',
  }),
  server_tls_ciphers: setting(ciphers, {
    default: 'default',
    reload,
    help: 'OpenSSL cipher list for servers, up to TLS 1.2.',
  }),
  server_tls13_ciphers: setting(ciphers, {
    default: 'default',
    reload,
    help: 'TLS 1.3 cipher suites for servers, with colons.',
  }),
};
