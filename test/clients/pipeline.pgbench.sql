\set aid random(1, 100000 * :scale)
\startpipeline
BEGIN;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_accounts SET filler = 'piped' WHERE aid = :aid;
SELECT repeat('x', 10000);
COMMIT;
\endpipeline
