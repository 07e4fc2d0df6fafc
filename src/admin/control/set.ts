/** SET: one setting, until the next RELOAD. */
import { isSettingName } from '../../config/settings.ts';
import { SqlState } from '../../protocol/sql-state.ts';
import { commandError, type Statement } from '../command.ts';
import { ignoresSet } from '../driver.ts';
import { invalidCommand, isWord, type Sentence, type Token } from '../grammar.ts';

export function set(sentence: Sentence): Statement {
  let tokens = sentence.tokens.slice(1);
  if (isWord(tokens[0], 'SESSION') || isWord(tokens[0], 'LOCAL')) tokens = tokens.slice(1);
  const [name, sign, ...value] = tokens;
  const key = name === undefined || name.kind === 'string' ? '' : name.text.toLowerCase();
  // Some of PostgreSQL's settings have names of ours too; on the console ours count.
  if (!isSettingName(key) && ignoresSet(tokens)) return ignored;
  if (key === '' || !isAssignment(sign) || value.length !== 1) throw invalidCommand(sentence);
  const text = value[0]?.text ?? '';
  return {
    right: 'admin',
    columns: undefined,
    async run({ host, client }) {
      host.pooler.logger.info({ user: client.user, client: client.id, setting: key }, 'console: SET');
      const result = await host.set(key, text);
      if (result.kind === 'set') return { tag: 'SET' };
      throw commandError(
        'SET failed',
        isSettingName(key) ? SqlState.invalidParameterValue : SqlState.undefinedObject,
        {
          detail: result.message,
          hint: result.hint,
        },
      );
    },
  };
}

const isAssignment = (token: Token | undefined): boolean =>
  isWord(token, 'TO') || (token?.kind === 'symbol' && token.text === '=');

const ignored: Statement = {
  right: 'stats',
  columns: undefined,
  run: () => ({ tag: 'SET', notice: { message: 'SET ignored' } }),
};
