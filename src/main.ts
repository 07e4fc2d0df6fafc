#!/usr/bin/env node
/** argv in, exit status out. The only module that acts when it is imported. */
import { main } from './cli/commands.ts';

process.exitCode = await main(process.argv.slice(2));
