import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InternedMap } from '../../src/session/interned-map.ts';
import { toHex } from '../../src/session/replay.ts';
import { dropStalled, type Sweepable, sweepClients } from '../../src/proxy/sweep.ts';

const noLimits: Sweepable['limits'] = {
  queryWaitTimeout: 0,
  queryTimeout: 0,
  transactionTimeout: 0,
  idleTransactionTimeout: 0,
  pinTimeout: 0,
  clientIdleTimeout: 0,
  maxPreparedStatements: 0,
  maxPreparedStatementBytes: 0,
  maxWaitingBytes: 0,
};
const HOUR = 3_600_000;
/** Monotonic ms; the process itself may be younger, and 0 means never. */
const now = performance.now() + HOUR;
const idleFor = (shown: string): InternedMap => InternedMap.of([['idle_session_timeout', toHex(shown)]]);

/** Why a client is cut off that has idled for two seconds; empty = it is not. */
function end(client: Partial<Sweepable>): string {
  let found = '';
  const idle = (client.queryStartedAt ?? 0) === 0 && (client.transactionStartedAt ?? 0) === 0;
  const swept: Sweepable = {
    server: undefined,
    waiting: undefined,
    limits: noLimits,
    queryStartedAt: 0,
    transactionStartedAt: 0,
    activeAt: now - 2000,
    isIdle: idle,
    pin: undefined,
    sessionState: InternedMap.empty,
    ...client,
    fail: ({ message, sqlState, detail = '' }, reason) => {
      found = [reason, sqlState, message, detail].join(' / ');
    },
  };
  sweepClients([swept], now);
  return found;
}

describe('a client that idles', () => {
  test('may do so for ever where nothing limits it, and up to a limit', () => {
    assert.equal(end({}), '');
    assert.equal(end({ limits: { ...noLimits, clientIdleTimeout: 2000, pinTimeout: 1 } }), '');
  });

  test('is cut off by client_idle_timeout', () => {
    assert.equal(
      end({ limits: { ...noLimits, clientIdleTimeout: 1500 } }),
      'client_idle_timeout / 57P05 / client_idle_timeout / The limit is 1.5 s.',
    );
  });

  test('is cut off by its own idle_session_timeout, as PostgreSQL would', () => {
    assert.equal(
      end({ sessionState: idleFor('1s'), limits: { ...noLimits, clientIdleTimeout: 1 } }),
      'idle_session_timeout / 57P05 / terminating connection due to idle-session timeout / The limit is 1 s.',
    );
    assert.equal(end({ sessionState: idleFor('1min') }), '');
  });

  test('is cut off by pin_timeout where it keeps a server, and is told why it does', () => {
    const limits = { ...noLimits, pinTimeout: 1000 };
    assert.equal(
      end({ limits, pin: { reasons: ['temp', 'lock'], since: 1 } }),
      'pin_timeout / 57P05 / pin timeout: the session keeps its server connection (temp, lock) / The limit is 1 s.',
    );
    assert.equal(end({ limits }), '');
  });

  test('and has not been active yet is let be', () => {
    assert.equal(end({ activeAt: 0, limits: { ...noLimits, clientIdleTimeout: 1 } }), '');
  });
});

describe('a client that is busy', () => {
  const running = { queryStartedAt: now - 2000, transactionStartedAt: now - 3000 };
  const between = { transactionStartedAt: now - 3000 };

  test('has no limits on idling', () => {
    const limits = { ...noLimits, clientIdleTimeout: 1, pinTimeout: 1, idleTransactionTimeout: 1 };
    const pin = { reasons: ['temp' as const], since: 1 };
    assert.equal(end({ ...running, limits, pin, sessionState: idleFor('1ms') }), '');
  });

  test('is cut off by query_timeout while a query runs', () => {
    const limits = { ...noLimits, queryTimeout: 1000, transactionTimeout: 1 };
    assert.equal(end({ ...running, limits }), 'query_timeout / 57014 / query timeout / The limit is 1 s.');
    assert.equal(end({ ...running, limits: { ...noLimits, queryTimeout: 2500 } }), '');
  });

  test('is cut off by transaction_timeout, also between two queries', () => {
    const limits = { ...noLimits, transactionTimeout: 2500 };
    const expected = 'transaction_timeout / 25P04 / transaction timeout / The limit is 2.5 s.';
    assert.equal(end({ ...running, limits }), expected);
    assert.equal(end({ ...between, limits }), expected);
  });

  test('is cut off by idle_transaction_timeout only between two queries', () => {
    const limits = { ...noLimits, idleTransactionTimeout: 1000 };
    assert.equal(
      end({ ...between, limits }),
      'idle_transaction_timeout / 25P03 / idle transaction timeout / The limit is 1 s.',
    );
    assert.equal(end({ ...between, activeAt: now - 500, limits }), '');
  });

  test('and waits for a server has query_wait_timeout, which is not ours', () => {
    const limits = { ...noLimits, queryTimeout: 1, transactionTimeout: 1 };
    const waiting = { since: 1, runningSince: 1, notified: false };
    assert.equal(end({ ...running, limits, waiting }), '');
  });
});

describe('a connection whose peer takes nothing', () => {
  const cut = (since: number | undefined, limit: number): boolean => {
    let destroyed = false;
    const connection = { stalledSince: () => since, destroy: () => void (destroyed = true) };
    dropStalled([connection], limit);
    return destroyed;
  };

  test('is cut off after the limit, where there is one', () => {
    const longAgo = performance.now() - 2000;
    assert.deepEqual(
      [cut(longAgo, 1000), cut(longAgo, HOUR), cut(longAgo, 0), cut(undefined, 1000)],
      [true, false, false, false],
    );
  });
});
