\set n random(1, 1000000)
SELECT set_config('app.n', (:n)::text, false);
BEGIN;
SELECT set_config('app.n', 'lost', false);
ROLLBACK;
SELECT 1 / (current_setting('app.n') = (:n)::text)::int;
CREATE TEMP TABLE basket (n int);
INSERT INTO basket VALUES (:n);
SELECT 1 / (count(*) = 1 AND min(n) = :n)::int FROM basket;
DECLARE kept CURSOR WITH HOLD FOR SELECT n FROM basket;
FETCH kept;
CLOSE kept;
DROP TABLE basket;
SELECT pg_advisory_lock(:n % 3);
SELECT 1 / pg_advisory_unlock(:n % 3)::int;
SELECT 1 / (current_setting('app.n') = (:n)::text)::int;
