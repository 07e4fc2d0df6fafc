/**
 * What a session has set, made of the server's answers: a state for the client, which follows it, and one for the server, which
 * is what the server has now. The two differ only where a client has reset a setting that it had brought at login: the server went back
 * to its own default, the client means the value that it brought.
 */
import { InternedMap } from './interned-map.ts';
import { isIdentity, type SessionState } from './replay.ts';

export interface Answered {
  /** By name: what the server has, in hex; null = no such setting. */
  readonly values: ReadonlyMap<string, string | null>;
  /** What is usual on servers of this pool, in hex; undefined = not known. */
  readonly usual: (name: string) => string | undefined;
  /** What connect_query has set there, for everybody. */
  readonly base: SessionState;
  /** What the client brought at login. */
  readonly brought: SessionState;
  /** RESET ALL or DISCARD ALL may have been run. */
  readonly resetAll: boolean;
  /** The names that may have been reset. */
  readonly resets: ReadonlySet<string>;
  /** Of those, what is known not to be: it was set to what is usual. */
  readonly setHere: ReadonlySet<string>;
}

export interface Settled {
  readonly client: SessionState;
  readonly server: SessionState;
}

export function settledState({ values, usual, base, brought, resetAll, resets, setHere }: Answered): Settled {
  const server: [string, string][] = [];
  const client: [string, string][] = [];
  for (const [name, value] of values) {
    const own = brought.get(name);
    // A custom setting that nobody has set is not there; once set and reset it is empty for ever.
    const standard = isCustom(name) ? '' : usual(name);
    const text = value ?? '';
    const isStandard = value === null || text === standard;
    const isUsual = isStandard ? base.get(name) === undefined : text === base.get(name);
    if (!isUsual || own !== undefined) server.push([name, text]);
    // RESET ALL leaves the role alone.
    const mayBeReset = resets.has(name) || (resetAll && !isIdentity(name));
    const wasReset = isStandard && mayBeReset && !setHere.has(name);
    if (own !== undefined && (wasReset || value === null)) client.push([name, own]);
    else if (!isUsual && !wasReset) client.push([name, text]);
    else if (own !== undefined) client.push([name, text]);
  }
  return { client: InternedMap.of(client), server: InternedMap.of(server) };
}

/** Custom settings have a dot in their name; there is no list of them. */
export const isCustom = (name: string): boolean => name.includes('.');
