/** What a daemon says of itself on its HTTP port. */

/** Its metrics at this moment, by name; of one with labels the sum over those that `label` (as Prometheus writes it) selects. */
export async function metricsAt(port: number): Promise<(name: string, label?: string) => number> {
  const response = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  const lines = (await response.text()).split('\n');
  return (name, label = '') => {
    if (!lines.some((line) => line.startsWith(`# TYPE ${name} `)))
      throw new Error(`there is no metric ${name}`);
    return lines
      .filter((line) => line.startsWith(`${name} `) || (line.startsWith(`${name}{`) && line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  };
}
