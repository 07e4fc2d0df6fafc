/** What a process has used, from Linux's /proc: CPU time and resident memory. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** In µs, all threads together, since the process began. */
export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

const TICK = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
/** Memory has settled when it has changed by less than this share for so many looks in a row. */
const SETTLED_SHARE = 0.002;
const SETTLED_LOOKS = 4;
const LOOK_INTERVAL = 250;
const MAX_LOOKS = 60;

/** Linux counts in ticks of 10 ms, so only differences over seconds mean anything. */
export function cpuTime(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  // The second field, the command's name in parentheses, may itself contain spaces; utime is the fourteenth.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) * TICK, system: Number(fields[12]) * TICK };
}

/** In bytes. */
function residentMemory(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

/** Resident memory once it has stopped changing: what a burst has left behind may be given back a little later. */
export async function settledMemory(pid: number): Promise<number> {
  let last = residentMemory(pid);
  let alike = 0;
  for (let look = 0; look < MAX_LOOKS && alike < SETTLED_LOOKS; look += 1) {
    await delay(LOOK_INTERVAL);
    const now = residentMemory(pid);
    alike = Math.abs(now - last) < last * SETTLED_SHARE ? alike + 1 : 0;
    last = now;
  }
  return last;
}
