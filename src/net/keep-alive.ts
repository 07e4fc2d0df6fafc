/** TCP keepalive: finds peers that vanished without a word, and keeps load balancers from forgetting silent connections. */
import type { Socket } from 'node:net';

export interface KeepAlive {
  /** Silence before the first probe, in ms; the system counts whole seconds. */
  readonly idle: number;
  /** Between probes, in ms; 0 for what Linux does by itself. Node 22 does not pass it on and probes every second. */
  readonly interval: number;
  /** Unanswered probes until the peer counts as dead; 0 for what Linux does by itself. Always 10 on Node 22. */
  readonly count: number;
}

/** Node knows no "leave it alone" and would set its own; these are the defaults of Linux. */
const LINUX_INTERVAL = 75_000;
const LINUX_COUNT = 9;

/** Once per socket: it costs four system calls. */
export function keepAlive(socket: Socket, { idle, interval, count }: KeepAlive): void {
  socket.setKeepAlive(
    true,
    Math.max(idle, 1000),
    interval === 0 ? LINUX_INTERVAL : Math.max(interval, 1000),
    count === 0 ? LINUX_COUNT : count,
  );
}
