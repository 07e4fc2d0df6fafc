import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decideOnLimit, descriptorLimit, hardLimitIn, neededDescriptors } from '../../src/net/file-limits.ts';

const need = { maxClientConn: 2_000, servers: 50, cancels: 20, listeners: 3 };

describe('the limit on file descriptors', () => {
  test('is read from the system', () => {
    assert.ok((descriptorLimit() ?? 0) > 64);
    const limits =
      'Limit      Soft Limit  Hard Limit  Units\nMax open files      1024      524288      files\n';
    assert.equal(hardLimitIn(limits), 524_288);
    assert.equal(hardLimitIn('Max open files      1024      unlimited      files'), undefined);
  });

  test('is enough when all clients, servers and the rest fit', () => {
    assert.equal(decideOnLimit(need, neededDescriptors(need), true).kind, 'enough');
    assert.equal(decideOnLimit(need, undefined, true).kind, 'enough');
  });

  test('stops the start when max_client_conn was wanted, with both numbers and what to set', () => {
    const decision = decideOnLimit(need, 1_024, true);
    assert.deepEqual(decision, {
      kind: 'too low',
      error:
        'max_client_conn = 2000 needs 2137 file descriptors, but the hard limit is 1024; set ulimit -n (nofile) to at least 2137',
    });
  });

  test('lowers a max_client_conn that nobody set, and says so', () => {
    const decision = decideOnLimit(need, 1_024, false);
    assert.ok(decision.kind === 'lowered');
    assert.equal(decision.maxClientConn, 887);
    assert.match(decision.warning, /2137.*1024.*ulimit -n.*going on with max_client_conn = 887/);
  });

  test('stops the start when no clients to speak of would be left', () => {
    assert.equal(decideOnLimit(need, 140, false).kind, 'too low');
  });

  test('always holds what was decided', () => {
    const count = fc.integer({ min: 0, max: 5_000 });
    fc.assert(
      fc.property(
        count,
        count,
        count,
        fc.integer({ min: 1, max: 20_000 }),
        (maxClientConn, servers, cancels, limit) => {
          const wish = { maxClientConn, servers, cancels, listeners: 2 };
          const decision = decideOnLimit(wish, limit, false);
          assert.equal(decision.kind === 'enough', neededDescriptors(wish) <= limit);
          if (decision.kind === 'too low') return;
          const clients = decision.kind === 'lowered' ? decision.maxClientConn : maxClientConn;
          if (decision.kind === 'lowered') {
            assert.equal(neededDescriptors({ ...wish, maxClientConn: clients }), limit);
          }
          // Beside everything else there is room for those who are to be refused with a text, 32 for the process itself left.
          assert.ok(decision.refusals >= 32 && decision.refusals <= 512);
          assert.ok(clients + servers + cancels + 2 + decision.refusals + 32 <= limit);
        },
      ),
    );
  });
});
