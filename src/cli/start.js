/** What `npm start` runs: the demo, or with arguments (`npm start -- ostler.toml`) exactly what `ostler` does with them. */
import './require-node.js';

if (process.argv.length === 2) process.argv.push('demo');
await import('../main.ts');
