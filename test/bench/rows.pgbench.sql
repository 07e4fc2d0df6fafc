SELECT * FROM pgbench_accounts WHERE aid <= 20000;
