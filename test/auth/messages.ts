/** The message bodies of PostgreSQL's authentication requests and their answers, made by hand, and two exchanges wired together. */
import type { ClientExchange, ClientRequest, ClientVerdict } from '../../src/auth/client-exchange.ts';
import type { ServerExchange, ServerVerdict } from '../../src/auth/server-exchange.ts';

export function request(code: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4);
  head.writeInt32BE(code);
  return Buffer.concat([head, payload]);
}

export const cString = (text: string): Buffer => Buffer.from(`${text}\0`);

export function saslInitialResponse(mechanism: string, data: Buffer, length: number = data.length): Buffer {
  return Buffer.concat([cString(mechanism), request(length), data]);
}

const bodyOf = (step: ClientRequest | ClientVerdict): Buffer => {
  switch (step.kind) {
    case 'ok':
      return request(0);
    case 'cleartext':
      return request(3);
    case 'md5':
      return request(5, step.salt);
    case 'sasl':
      return request(10, Buffer.from(`${step.mechanisms.join('\0')}\0\0`));
    case 'continue':
      return request(11, step.data);
    case 'final':
      return request(12, step.data);
    case 'refused':
      throw new Error('a refusal is no authentication request');
    default:
      return step satisfies never;
  }
};

export interface Meeting {
  /** What the checking side did, in order. */
  readonly kinds: readonly string[];
  readonly checked: ClientRequest | ClientVerdict;
  readonly login: ServerVerdict | undefined;
}

/** Lets the side that logs in (`login`) and the side that checks (`check`) talk until one of them is done. */
export async function meet(check: ClientExchange, login: ServerExchange): Promise<Meeting> {
  const kinds: string[] = [];
  let step: ClientRequest | ClientVerdict = check.start();
  for (;;) {
    kinds.push(step.kind);
    if (step.kind === 'refused') return { kinds, checked: step, login: undefined };
    let said = await login.answer(bodyOf(step));
    if (step.kind === 'final' && said.kind === 'wait') said = await login.answer(request(0));
    if (said.kind !== 'send') return { kinds, checked: step, login: said };
    step = await check.answer(said.body);
  }
}
