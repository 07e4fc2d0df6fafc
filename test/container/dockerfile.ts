/** A Dockerfile as data: the instructions that ours uses. Anything else is refused, so that a replay leaves nothing out. */

export type Instruction =
  | { readonly kind: 'from'; readonly image: string; readonly name: string | undefined }
  | { readonly kind: 'workdir'; readonly path: string }
  | {
      readonly kind: 'copy';
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly target: string;
    }
  | { readonly kind: 'run'; readonly command: string }
  | { readonly kind: 'env'; readonly name: string; readonly value: string }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'entrypoint' | 'command' | 'healthcheck'; readonly argv: readonly string[] }
  | { readonly kind: 'expose'; readonly ports: readonly number[] }
  | { readonly kind: 'stopsignal'; readonly signal: string }
  | { readonly kind: 'label' };

export function parseDockerfile(text: string): Instruction[] {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  return lines.filter((line) => line.trim() !== '').map(parseInstruction);
}

function parseInstruction(line: string): Instruction {
  const [, word = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line.trim()) ?? [];
  switch (word) {
    case 'FROM': {
      const [image = '', as, name] = rest.split(/\s+/);
      return { kind: 'from', image, name: as === 'AS' ? name : undefined };
    }
    case 'WORKDIR':
      return { kind: 'workdir', path: rest };
    case 'COPY':
      return parseCopy(rest);
    case 'RUN':
      return { kind: 'run', command: rest };
    case 'ENV': {
      const [, name = '', value = ''] = /^(\w+)=(\S*)$/.exec(rest) ?? [];
      if (name === '') break;
      return { kind: 'env', name, value };
    }
    case 'USER':
      return { kind: 'user', user: rest };
    case 'ENTRYPOINT':
      return { kind: 'entrypoint', argv: execForm(line, rest) };
    case 'CMD':
      return { kind: 'command', argv: execForm(line, rest) };
    case 'HEALTHCHECK':
      return { kind: 'healthcheck', argv: execForm(line, /\bCMD\s+(.*)$/.exec(rest)?.[1] ?? '') };
    case 'EXPOSE':
      return { kind: 'expose', ports: rest.split(/\s+/).map(Number) };
    case 'STOPSIGNAL':
      return { kind: 'stopsignal', signal: rest };
    case 'LABEL':
      return { kind: 'label' };
  }
  throw new Error(`cannot replay this line of the Dockerfile: ${line}`);
}

function parseCopy(rest: string): Instruction {
  const words = rest.split(/\s+/);
  const flag = words[0]?.startsWith('--') ? words.shift() : undefined;
  const from = flag === undefined ? undefined : /^--from=(.+)$/.exec(flag)?.[1];
  const target = words.pop();
  if (target === undefined || words.length === 0 || (flag !== undefined && from === undefined)) {
    throw new Error(`cannot replay this line of the Dockerfile: COPY ${rest}`);
  }
  return { kind: 'copy', from, sources: words, target };
}

/** The shell form would need a shell in the image, and would hide signals from the program. */
function execForm(line: string, json: string): string[] {
  const argv: unknown = json.startsWith('[') ? JSON.parse(json) : undefined;
  if (!Array.isArray(argv) || !argv.every((word) => typeof word === 'string')) {
    throw new Error(`not in exec form: ${line}`);
  }
  return argv;
}

/** Whether the build context has `path`, by a .dockerignore that excludes everything and names what is let in. */
export function parseDockerignore(text: string): (path: string) => boolean {
  const [first, ...others] = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (first !== '*' || !others.every((line) => /^![\w./-]+$/.test(line))) {
    throw new Error('.dockerignore is expected to exclude everything and then to name what is let in');
  }
  const letIn = others.map((line) => line.slice(1));
  return (path) => letIn.some((name) => path === name || path.startsWith(`${name}/`));
}
