/** What `ostler healthcheck` does: asks a running ostler, from the same container, without curl. */

export interface ProbeTarget {
  /** http_addr as configured; a wildcard address is asked on loopback. */
  readonly host: string;
  readonly port: number;
  readonly path: '/live' | '/ready' | '/health';
  /** For everything together, in ms. */
  readonly timeout: number;
}

export interface ProbeResult {
  readonly healthy: boolean;
  /** One line for people: what was answered, or why nothing was. */
  readonly message: string;
}

/** Enough of an answer to show. */
const MAX_BODY = 4096;

function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '' || host === '*') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** Never rejects. */
export async function probe(target: ProbeTarget): Promise<ProbeResult> {
  const { get } = await import('node:http');
  const url = `${target.host}:${target.port}${target.path}`;
  return new Promise((resolve) => {
    const settle = (healthy: boolean, message: string): void => {
      clearTimeout(deadline);
      resolve({ healthy, message: `${url}: ${message}` });
      request.destroy();
    };
    const request = get(
      { host: reachable(target.host), port: target.port, path: target.path, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          if (body.length < MAX_BODY) body += text;
        });
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          settle(status === 200, `${status} ${body.slice(0, MAX_BODY).trim()}`);
        });
        response.on('error', (error) => {
          settle(false, error.message);
        });
      },
    );
    request.on('error', (error: NodeJS.ErrnoException) => {
      settle(false, error.code === 'ECONNREFUSED' ? 'nobody listens there' : error.message);
    });
    const deadline = setTimeout(() => {
      settle(false, `no answer within ${target.timeout} ms`);
    }, target.timeout);
  });
}
