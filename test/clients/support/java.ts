/** A Java program of test/clients and the driver that it uses; neither what is downloaded nor what is compiled is put into the checkout. */
import { access, mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { asOneLine, cacheFolder, findProgram, type Found, runProgram } from './programs.ts';

const DRIVER = 'org.postgresql:postgresql:42.7.14';
const JAR = `${DRIVER.split(':').slice(1).join('-')}.jar`;
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
const MAVEN_TIMEOUT = 300_000;

/** Compiles `java/<name>.java`, which is one class. */
export function javaProgram(name: string): () => Promise<Found<readonly string[]>> {
  return async () => {
    const java = await findProgram('java', 'default-jdk-headless');
    if (java.kind === 'missing') return java;
    const compiler = await findProgram('javac', 'default-jdk-headless');
    if (compiler.kind === 'missing') return compiler;
    const cache = cacheFolder('test-clients-java');
    await mkdir(cache, { recursive: true });
    const driver = await findDriver(cache);
    if (driver.kind === 'missing') return driver;
    const classes = join(cache, 'classes');
    const source = join(import.meta.dirname, '../java', `${name}.java`);
    await runProgram(compiler.value, ['-cp', driver.value, '-d', classes, source]);
    const path = [classes, driver.value].join(delimiter);
    // Its threads wait more than they compute: what starts fastest is best.
    return { kind: 'found', value: [java.value, '-XX:TieredStopAtLevel=1', '-cp', path, name] };
  };
}

async function findDriver(cache: string): Promise<Found<string>> {
  const jar = join(cache, JAR);
  const there = (): Promise<boolean> =>
    access(jar).then(
      () => true,
      () => false,
    );
  if (await there()) return { kind: 'found', value: jar };
  const maven = await findProgram('mvn', 'maven');
  if (maven.kind === 'missing') return maven;
  const repository = `-Dmaven.repo.local=${join(cache, 'repository')}`;
  const args = [
    '--quiet',
    '--batch-mode',
    repository,
    COPY,
    `-Dartifact=${DRIVER}`,
    `-DoutputDirectory=${cache}`,
  ];
  try {
    await runProgram(maven.value, args, { timeout: MAVEN_TIMEOUT });
    return { kind: 'found', value: jar };
  } catch (error) {
    return { kind: 'missing', reason: `pgjdbc cannot be had here: ${asOneLine(error)}` };
  }
}
