/**
 * `npm run bench [-- --quick] [--only hits,misses] [--json] [--guard]`: speed as ratios against baselines measured in the
 * same run, in alternating rounds, so that a busy machine slows both alike. What is measured has a CPU of its own.
 *
 *   --quick   fewer and shorter rounds: ten minutes instead of forty; it varies by a fifth
 *   --only    these sections alone
 *   --json    one line for programs
 *   --guard   two minutes; fails when a ratio is below half of its target, and so never by noise
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { CONNECTIONS } from './cpu-pairs.ts';
import { measureGrowth } from './growth.ts';
import { measureHitPeers } from './hit-peers.ts';
import { measureHitGoals, measureHits } from './hits.ts';
import { chooseLoadTool } from './load.ts';
import { measureMisses } from './misses.ts';
import { measureOutage } from './outage.ts';
import { installPeers } from './peers.ts';
import { median, ratioOf, renderSections, round, type Section, spread } from './report.ts';
import { ROOT, separateCpus, startScript } from './servers.ts';
import { measureStampede } from './stampede.ts';
import { measureVerification } from './verification.ts';
import { measureWorkers } from './workers.ts';

const run = promisify(execFile);

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    guard: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});

/** The regression guard wants half of it. */
const SIGNING_TARGET = 5;
/** Of each pair of hits. */
const GUARD_ROUNDS = 7;
/** A miss adds little more than a direct call takes; this is far outside. */
const LEAST_DIRECT_TO_ADDED = 0.2;

interface Context {
  readonly quick: boolean;
  readonly folder: string;
}

type Measure = (context: Context) => Promise<readonly Section[]>;

/** In this order. */
const SECTIONS: Readonly<Record<string, Measure>> = {
  hits: async ({ quick, folder }) => {
    const rounds = quick ? { withGoal: 7, without: 3 } : { withGoal: 9, without: 5 };
    return measureHits({ tool: await chooseLoadTool(), folder, rounds });
  },
  steps: async ({ folder }) => [await measureHitSteps(folder)],
  peers: async ({ quick, folder }) => {
    const rounds = quick ? 7 : 21;
    return measureHitPeers({ tool: await chooseLoadTool(), folder, rounds, peers: await installPeers() });
  },
  misses: async ({ quick, folder }) => (await measureMisses({ folder, lives: quick ? 30 : 100 })).sections,
  signing: async () => [(await measureSigning()).section],
  verification: async (context) => [await measureVerification(context)],
  growth: measureGrowth,
  stampede: async (context) => {
    const { krakend } = await installPeers();
    return [await measureStampede({ ...context, ...('version' in krakend && { krakend }) })];
  },
  outage: async (context) => [await measureOutage(context)],
  workers: async (context) => [await measureWorkers(context)],
  start: async ({ quick, folder }) => [await measureStart(quick ? 3 : 7, folder)],
};

const SIGNERS: Readonly<Record<string, { readonly what: string; readonly least?: number }>> = {
  ours: { what: 'this service on Node' },
  webCrypto: { what: 'the same by WebCrypto, as on Workers' },
  sdk: { what: "the vendor's SDK for Node", least: SIGNING_TARGET },
  aws4fetch: { what: 'aws4fetch, its own scheme', least: 1 },
};

async function measureSigning(): Promise<{ readonly section: Section; readonly toSdk: number }> {
  const { stdout } = await run(process.execPath, ['test/bench/signing.ts'], { cwd: ROOT });
  const rates = JSON.parse(stdout) as Record<string, number[]>;
  const ours = rates.ours ?? [];
  const toSdk = ratioOf(ours, rates.sdk ?? []);
  const section: Section = {
    title: 'signatures, one after the other on one thread',
    rows: Object.entries(rates).map(([name, samples]) => ({
      signer: SIGNERS[name]?.what ?? name,
      'signatures/s': round(median(samples)),
      spread: spread(samples),
      'service to it': round(ratioOf(ours, samples), 2),
      target: SIGNERS[name]?.least ?? '',
    })),
    notes:
      toSdk >= SIGNING_TARGET
        ? []
        : [
            'Below the target by profile: three hashes by OpenSSL are half of a signature here, which the SDK needs as well; most of',
            'the rest reads the URL and checks and sorts headers.',
          ],
  };
  return { section, toSdk };
}

/** What each thing that a hit keeps saves. */
async function measureHitSteps(folder: string): Promise<Section> {
  const { stdout } = await run(process.execPath, ['test/bench/hit-steps.ts', join(folder, 'steps.log')], {
    cwd: ROOT,
  });
  const steps = JSON.parse(stdout) as { what: string; keptUs: number; withoutUs: number }[];
  return {
    title: 'what a hit keeps: CPU time of each step, in one process',
    rows: steps.map(({ what, keptUs, withoutUs }) => ({
      kept: what,
      'with it µs': round(keptUs, 2),
      'without µs': round(withoutUs, 2),
      'saved µs': round(withoutUs - keptUs, 2),
    })),
    notes: [
      'The section `hits` says what a whole hit takes. Each pair of steps takes its turn in 15 rounds.',
    ],
  };
}

/** From the start of the process to the first ready answer. */
async function measureStart(starts: number, folder: string): Promise<Section> {
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const environment = {
    ...simulator.environment,
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SHUTDOWN_DELAY_SECONDS: '0',
  };
  const tookMs: number[] = [];
  try {
    for (let start = 0; start < starts; start += 1) {
      const beganMs = performance.now();
      const service = await startScript('src/runtime/node.ts', [], environment, join(folder, 'start.log'));
      tookMs.push(performance.now() - beganMs);
      await service.stop();
    }
  } finally {
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
  return {
    title: 'start',
    rows: [{ from: 'start to ready', ms: round(median(tookMs)), spread: spread(tookMs), 'target ms': 1000 }],
  };
}

/** @returns false when something is far slower than it should be */
async function guard(folder: string): Promise<boolean> {
  const tool = await chooseLoadTool();
  const rounds = { withGoal: GUARD_ROUNDS, without: 0 };
  const hits = Object.values(await measureHitGoals({ tool, folder, rounds }));
  const { toSdk } = await measureSigning();
  const { directToAdded } = await measureMisses({ folder, lives: 30 });
  const checks = [
    ...hits.map(({ ours, baseline, ratio, goal = 0 }) => ({
      what: `CPU of ${baseline.what} to that of ${ours.what}`,
      is: ratio,
      least: goal / 2,
    })),
    { what: "signatures to the vendor's SDK", is: toSdk, least: SIGNING_TARGET / 2 },
    { what: 'a direct call to what a miss adds', is: directToAdded, least: LEAST_DIRECT_TO_ADDED },
  ];
  process.stdout.write(
    `${renderSections([
      {
        title: 'regression guard',
        rows: checks.map(({ what, is, least }) => ({
          ratio: what,
          is: round(is, 2),
          'at least': round(least, 3),
        })),
      },
    ])}\n`,
  );
  return checks.every(({ is, least }) => is >= least);
}

async function main(): Promise<void> {
  const isSeparate = await separateCpus();
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-bench-'));
  try {
    if (values.guard) {
      if (!(await guard(folder))) process.exitCode = 1;
      return;
    }
    const names = values.only?.split(',') ?? Object.keys(SECTIONS);
    const unknown = names.filter((name) => !Object.hasOwn(SECTIONS, name));
    if (unknown.length > 0)
      throw new Error(`no section ${unknown.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}`);
    const sections: Section[] = [
      {
        title: 'machine',
        rows: [
          {
            cpu: cpus()[0]?.model ?? 'unknown',
            cores: cpus().length,
            node: process.version,
            load: (await chooseLoadTool()).name,
            connections: CONNECTIONS,
          },
        ],
        notes: [
          isSeparate
            ? 'What is measured runs alone on the first CPU, the load and everything else on the second.'
            : 'What is measured shares the CPUs with the load: they could not be separated here.',
        ],
      },
    ];
    if (!values.json) process.stdout.write(`${renderSections(sections)}\n`);
    for (const name of names) {
      const measured = await (SECTIONS[name] as Measure)({ quick: values.quick, folder });
      sections.push(...measured);
      if (!values.json) process.stdout.write(`${renderSections(measured)}\n`);
    }
    if (values.json) process.stdout.write(`${JSON.stringify(sections)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
