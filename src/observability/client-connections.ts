/** How many clients of which application there are: who is the noisy one. */
import { gauge, type Labels, type MetricFamily, type Sample } from './metric-family.ts';
import type { ClientRow, MetricsSource } from './metrics-source.ts';

const MAX_ROWS = 1000;
/** Clients choose their application_name: the first so many keep a label of their own while the process lives. */
const MAX_APPLICATION_NAMES = 50;
/** PostgreSQL cuts it there too (NAMEDATALEN - 1). */
const MAX_APPLICATION_NAME_LENGTH = 63;

export function clientConnections(source: MetricsSource): MetricFamily {
  const known = new Set<string>();
  const label = (applicationName: string): string => {
    const name = applicationName.slice(0, MAX_APPLICATION_NAME_LENGTH);
    if (known.has(name)) return name;
    if (known.size >= MAX_APPLICATION_NAMES) return '(other)';
    known.add(name);
    return name;
  };
  const samples = (): Sample[] => {
    const counts = new Map<string, { labels: Labels; value: number }>();
    for (const client of source.clients()) {
      const labels = labelsOf(client, label(client.applicationName));
      const key = JSON.stringify(labels);
      const count = counts.get(key);
      if (count !== undefined) count.value += 1;
      else if (counts.size < MAX_ROWS) counts.set(key, { labels, value: 1 });
    }
    return [...counts.values()];
  };
  return gauge('pgbouncer_client_connections', 'Clients by database, user, application and state', samples);
}

function labelsOf(client: ClientRow, applicationName: string): Labels {
  return {
    database: client.database,
    user: client.user,
    application_name: applicationName,
    state: client.state,
  };
}
