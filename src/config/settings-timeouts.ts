/** Settings of what a client may wait or dawdle, and of stopping. */
import { duration } from './kinds.ts';
import { setting } from './setting.ts';

export const clientTimeouts = {
  query_wait_notify: setting(duration, {
    default: '5s',
    reload: 'live',
    help: 'A client that waits for a server this long gets a NOTICE. 0: none.',
  }),
  query_wait_timeout: setting(duration, {
    default: '15s',
    reload: 'live',
    help: 'A client that waits for a server this long is disconnected. 0: it waits for ever. (PgBouncer: 120 s.)',
  }),
  query_timeout: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'A query that takes longer is cancelled and its client disconnected. 0: no limit.',
  }),
  idle_transaction_timeout: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'A client silent for this long inside a transaction is disconnected. 0: no limit.',
  }),
  transaction_timeout: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'A client whose transaction takes longer is disconnected. 0: no limit.',
  }),
  client_idle_timeout: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'A client silent for this long outside a transaction is disconnected. 0: no limit.',
  }),
  pin_timeout: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'A client that keeps its server in transaction mode (SHOW PINS) and is silent for this long is disconnected. 0: never.',
  }),
  client_login_timeout: setting(duration, {
    default: '60s',
    reload: 'live',
    help: 'From connecting to being logged in. 0: no limit.',
  }),
  cancel_wait_timeout: setting(duration, {
    default: '10s',
    reload: 'live',
    help: 'A cancel request that could not be forwarded for this long is dropped. 0: no limit.',
  }),
};

export const stopping = {
  shutdown_timeout: setting(duration, {
    default: '25s',
    reload: 'live',
    help: 'After SIGTERM busy clients may finish their transaction for this long. Stay below what the platform waits before it kills (ECS: 30 s).',
  }),
  shutdown_delay: setting(duration, {
    default: 0,
    reload: 'live',
    help: 'How long new clients are still accepted after SIGTERM while /ready says 503; a part of shutdown_timeout.',
  }),
};
