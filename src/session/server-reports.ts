/** What one server has reported of its settings (ParameterStatus), beside what a session that has changed nothing would. */
import { InternedMap } from './interned-map.ts';
import { stateAfterReport, unexpectedReports } from './parameter-status.ts';
import { fromHex, type SessionState } from './replay.ts';

export class ServerReports {
  /** By the names that PostgreSQL gives them. */
  reported = InternedMap.empty;
  /** What a fresh session of this server reports. */
  fresh = InternedMap.empty;
  /** When it has read its configuration, as far as is known. */
  configured: string | undefined;
  /** The reports that were compared last. */
  #compared = InternedMap.empty;

  /** All that came at login; also once a query of the operator's has set the session up. */
  adopt(reported: InternedMap): void {
    this.reported = reported;
    this.fresh = reported;
  }

  add(name: string, value: string): void {
    this.reported = this.reported.with(name, value);
  }

  /** What is usual has changed with the server's configuration; `setting` in lower case. */
  learnFresh(setting: string, hex: string | null): void {
    for (const [name] of this.fresh)
      if (name.toLowerCase() === setting && hex !== null) this.fresh = this.fresh.with(name, fromHex(hex));
  }

  /** The settings that are not as a session in `state` would have them; only what has changed since this was asked last. */
  unexpected(state: SessionState): readonly string[] {
    if (this.reported === this.#compared) return [];
    this.#compared = this.reported;
    return unexpectedReports(state, this.fresh, this.reported);
  }

  /** What a client will be told that brought settings, and has reset some of them. */
  afterReset(brought: SessionState, resets: { mayHaveResetTo(name: string): boolean }): InternedMap {
    let { reported } = this;
    for (const [name, value] of this.reported) {
      const setting = name.toLowerCase();
      const own = brought.get(setting);
      if (own !== undefined && value === this.fresh.get(name) && resets.mayHaveResetTo(setting))
        reported = reported.with(name, fromHex(own));
    }
    return reported;
  }

  /** `state` with everything in it that is reported. */
  asState(state: SessionState): SessionState {
    let next = state;
    for (const [name, value] of this.reported) next = stateAfterReport(next, this.fresh, name, value);
    return next;
  }
}
