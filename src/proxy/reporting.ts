/**
 * What a client is told of its settings: in front of each ReadyForQuery, what its server has reported and it has not got yet, whichever
 * server told it what it has. From the same reports is learnt what nobody would have asked about.
 */
import { TransactionStatus } from '../protocol/message-types.ts';
import type { InternedMap } from '../session/interned-map.ts';
import { missingReports } from '../session/parameter-status.ts';
import type { ClientSession } from './client-session.ts';
import type { ServerSession } from './server-session.ts';

export class Reporting {
  readonly #server: ServerSession;
  /** The linked client has reset settings since the last ReadyForQuery. */
  #resetSeen = false;

  constructor(server: ServerSession) {
    this.#server = server;
  }

  /** A tag has said RESET or DISCARD ALL. */
  resetSeen(): void {
    this.#resetSeen = true;
  }

  /** In front of a ReadyForQuery of the client's. */
  beforeReady(client: ClientSession): void {
    const { settling, restoring, status } = this.#server;
    if (status === TransactionStatus.inTransaction && settling.suspicion.takeResetNews())
      restoring.resetSeen();
    const told = this.#toTell(client);
    if (client.told !== told) {
      client.out.insert(missingReports(client.told, told));
      client.told = told;
      if (!client.isTracked) this.#learnSettings(client);
    }
    if (client.isTracked) this.#suspectReports(client);
    else if (this.#resetSeen) this.#settingsReset(client);
    this.#resetSeen = false;
  }

  /** What the server has reported; where it went back to its own default, the client has what it brought at login from its next statement on. */
  #toTell(client: ClientSession): InternedMap {
    const { reports, settling, restoring, status } = this.#server;
    if (client.broughtState.size === 0 || !client.isTracked) return reports.reported;
    const { suspicion } = settling;
    const isReset =
      status === TransactionStatus.idle ? suspicion.mayHaveReset : restoring.isDueAmidTransaction;
    return isReset ? reports.afterReset(client.broughtState, suspicion) : reports.reported;
  }

  /**
   * What the client has set, by all that is reported: a server reports a change against its own last report, so that setting what another
   * client had set here before is not reported at all.
   */
  #learnSettings(client: ClientSession): void {
    const server = this.#server;
    const state = server.reports.asState(client.sessionState);
    client.sessionState = state;
    if (server.sessionState !== undefined) server.sessionState = state;
  }

  /** What is reported, and is not what the client is known to have set: somebody set it unseen, or the server's configuration has changed. */
  #suspectReports(client: ClientSession): void {
    const { reports, settling, base, status } = this.#server;
    if (status !== TransactionStatus.idle) return;
    for (const name of reports.unexpected(client.sessionState.over(base))) settling.suspicion.addReport(name);
  }

  /** The server knows only its own defaults: what the client brought at login is put there again, in front of what it sends next. */
  #settingsReset(client: ClientSession): void {
    this.#server.restoring.resetSeen();
    client.sessionState = client.sessionState.over(client.broughtState);
    this.#server.sessionState = undefined;
  }
}
