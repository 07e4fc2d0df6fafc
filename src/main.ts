#!/usr/bin/env -S node --max-semi-space-size=4
/** argv in, exit status out. The only module that acts when it is imported. */
import { main } from './cli/commands.ts';

/** How long whoever reads our output may take for the last of it, ms. */
const LAST_OUTPUT = 1000;

process.exitCode = await main(process.argv.slice(2));
// A daemon that was told to stop at once has clients and servers left, whose sockets would keep the process going.
const exit = (): void => process.exit();
process.stdout.write('', exit);
setTimeout(exit, LAST_OUTPUT).unref();
