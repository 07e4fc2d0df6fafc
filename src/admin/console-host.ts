/** What the console asks of the daemon around it: what it shows comes from the pooler, what changes everything is done here. */
import type { StatsAverages } from '../observability/averages.ts';
import type { Pooler } from '../proxy/pooler.ts';

/** What RELOAD came to: everything, or nothing. */
export type ReloadResult =
  | {
      readonly kind: 'reloaded';
      /** What is different now, as a person would name it. */
      readonly changed: readonly string[];
      /** Settings that have another value in the file now and keep the old one until a restart. */
      readonly needRestart: readonly string[];
    }
  | {
      readonly kind: 'failed';
      /** Everything wrong, one line each, with file and line. */
      readonly problems: readonly string[];
    };

/** What SET came to; a refused one has changed nothing. */
export type SetResult =
  | { readonly kind: 'set' }
  | { readonly kind: 'refused'; readonly message: string; readonly hint?: string | undefined };

/**
 * SHUTDOWN: at once · after new logins and new links have been stopped and no server is left · after listening has been
 * stopped and no client is left.
 */
export type ShutdownMode = 'now' | 'wait_for_servers' | 'wait_for_clients';

export interface ConsoleHost {
  readonly pooler: Pooler;
  readonly averages: StatsAverages;
  /** Ostler's own, as in `0.1.0`. */
  readonly version: string;
  /** Reads the configuration again and applies the difference, TLS files included. */
  reload(): ReloadResult | Promise<ReloadResult>;
  /** Changes one setting until the next RELOAD; `text` is the value as a person writes it. */
  set(key: string, text: string): SetResult | Promise<SetResult>;
  /** Returns at once; the console answers after that, unless the daemon is gone by then. */
  shutdown(mode: ShutdownMode): void;
}
