/**
 * Says what is wrong where the Node that runs the checkout cannot run TypeScript. Plain JavaScript of the oldest kind: it
 * must still run there.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    [
      `ostler's checkout runs on Node 24, and this is ${process.version}.`,
      'npm ci brings Node 24 along, in node_modules, unless npm was told not to run install scripts.',
      'Run "npm rebuild node" (with npm 10 or newer) and try again, or install Node 24.',
    ].join('\n'),
  );
  process.exit(1);
}
