/** What `npm start` runs: the demo, or with arguments (`npm start -- ostler.toml`) exactly what `ostler` does with them. */
import './require-node.js';

if (process.argv.length === 2) process.argv.push('demo');

// A SIGTERM goes from npm to its shell and no further: the shell ends, and would leave us behind with a port and a PostgreSQL.
if (process.env.npm_lifecycle_event !== undefined) {
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  watch.unref();
}

await import('../main.ts');
