/** The unnamed prepared statement of one client. It follows the client over batches and servers, and is never another's. */
import { Frontend } from '../protocol/message-types.ts';
import { PreparedStatement } from '../session/prepared-statements.ts';
import {
  type Change,
  noUnnamed,
  OwnerChange,
  UnnamedChange,
  type UnnamedHolder,
  UnnamedStatement,
} from '../session/statement-changes.ts';
import { Owed, OWN } from './owed-replies.ts';
import type { ServerSession } from './server-session.ts';
import { closeBytes, parseBytes } from './statement-messages.ts';
import { othersUnanswered } from './statement-moments.ts';

export class ClientUnnamed implements UnnamedHolder {
  unnamed = noUnnamed;
  /** The batch of the last message that made it another one. */
  #changedIn: number | undefined;

  get statement(): PreparedStatement | undefined {
    return this.unnamed.statement;
  }

  /** Which one it is may yet depend on how an earlier batch ends. */
  waits(server: ServerSession): boolean {
    return this.#changedIn !== undefined && this.#changedIn !== server.owed.batch && othersUnanswered(server);
  }

  /** A Parse of it goes to the server. */
  parsed(server: ServerSession, definition: Buffer): Change {
    const { statement } = this;
    const same = statement?.definition.equals(definition) === true ? statement : undefined;
    return this.#becomes(server, new UnnamedStatement(same ?? new PreparedStatement('', definition)));
  }

  /** The same with one of which not even the text is known: it is there for its client as long as that stays on this server. */
  streamed(server: ServerSession): Change {
    return this.#becomes(server, new UnnamedStatement(undefined));
  }

  /** A Query goes to the server, which ends it. */
  queried(server: ServerSession): Change | undefined {
    if (this.unnamed !== noUnnamed || this.waits(server)) return this.#becomes(server, noUnnamed);
    server.unnamed = undefined;
    return undefined;
  }

  /** A Query has been answered in the server's place. */
  dropped(server: ServerSession): void {
    this.unnamed = noUnnamed;
    server.unnamed = undefined;
  }

  /** A message about it goes to the server, whatever that has: it is prepared again there, or made to be missing. */
  referred(server: ServerSession, type: number): Change | undefined {
    if (type === Frontend.close) return this.#becomes(server, noUnnamed);
    if (server.unnamed === this.unnamed) return undefined;
    const { statement } = this;
    const change = new OwnerChange(server, this.unnamed);
    if (statement === undefined) {
      server.owed.push(Owed.close | OWN, change);
      server.out.insert(closeUnnamed);
    } else {
      server.owed.push(Owed.parse | OWN, change);
      server.out.insert(parseBytes(statement));
    }
    return undefined;
  }

  #becomes(server: ServerSession, unnamed: UnnamedStatement): Change {
    this.#changedIn = server.owed.batch;
    return new UnnamedChange(server, this, unnamed);
  }
}

const closeUnnamed = closeBytes(new PreparedStatement('', Buffer.alloc(3)));
