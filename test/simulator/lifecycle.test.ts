import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { startSimulator } from './simulator.ts';
import { RawConnection, sendSigned, signedRequestText } from './wire-client.ts';

/** Longer than any test, which is what would show that somebody waits for it. */
const HOUR_MS = 3_600_000;
const HERE = fileURLToPath(new URL('.', import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, { cwd: HERE, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('no output');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return line;
}

test('stop ends every connection at once, whatever it waits for', async () => {
  const simulator = await startSimulator();
  simulator.script(
    { answer: { kind: 'hang' } },
    { delayBeforeHeadersMs: HOUR_MS },
    { delayBeforeBodyMs: HOUR_MS },
    { slowHeaders: { intervalMs: HOUR_MS } },
    { slowBody: { intervalMs: HOUR_MS } },
    { gate: 'a' },
    { answer: { kind: 'wrong-content-length', differenceBytes: 5 } },
    { answer: { kind: 'huge', bodyBytes: 2_000_000_000 } },
  );
  const connections: RawConnection[] = [];
  for (let n = 1; n <= 8; n += 1) {
    const connection = new RawConnection(simulator).send(signedRequestText(simulator));
    connections.push(connection);
    await simulator.received(n);
    // Read no further, so that the huge one is stuck on its way.
    if (n === 8) connection.socket.pause();
  }
  const idle = new RawConnection(simulator);
  await once(idle.socket, 'connect');
  const waiting = simulator.arrived('never');

  await simulator.stop();
  await expect(waiting).rejects.toThrow(/stopped/);
  for (const connection of connections.slice(0, 7)) await connection.ended();
  connections[7]?.close();
  await idle.ended();
  const refused = connect(simulator.port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNREFUSED');
  await simulator.stop();
});

test('a stopped simulator keeps no process alive', async () => {
  const child = start(
    '--input-type=module',
    '--eval',
    `import { startSimulator } from './simulator.ts';
     import { signHeaders } from './wire-client.ts';
     const simulator = await startSimulator();
     simulator.script({ delayBeforeHeadersMs: 3_600_000 }, { gate: 'a' });
     const poll = fetch(simulator.url + '/__control/arrived?gate=none&timeoutMs=60000').catch(() => {});
     const headers = signHeaders(simulator);
     delete headers.host;
     const slow = fetch(simulator.url + '/v5/imagecaches', { headers }).catch(() => {});
     await simulator.received(1);
     const held = fetch(simulator.url + '/v5/imagecaches', { headers }).catch(() => {});
     await simulator.arrived('a');
     await simulator.stop();
     await Promise.all([poll, slow, held]);
     console.log('stopped');`,
  );
  const exited = once(child, 'exit');
  expect(await firstLine(child)).toBe('stopped');
  expect(await exited).toEqual([0, null]);
});

test.each(['SIGINT', 'SIGTERM'] as const)('alone, it prints where it is and stops on %s', async (signal) => {
  const child = start('main.ts', '--json');
  const { url, control, environment } = JSON.parse(await firstLine(child));
  expect(environment).toMatchObject({
    CCE_ENDPOINT: url,
    HUAWEICLOUD_SDK_AK: expect.any(String),
    HUAWEICLOUD_SDK_SK: expect.any(String),
    HUAWEICLOUD_SDK_PROJECT_ID: expect.any(String),
    HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4: url,
    HUAWEICLOUD_SDK_IAM_ENDPOINT: url,
  });
  const hung = fetch(`${control}/arrived?gate=never&timeoutMs=60000`).catch(() => 'cut');
  expect((await fetch(control)).status).toBe(200);
  child.kill(signal);
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(await hung).toBe('cut');
});

test('alone, it prints what to export and what to try', async () => {
  const child = start('main.ts');
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
    if (output.includes('Ctrl-C')) child.kill('SIGINT');
  });
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(output).toContain("export CCE_ENDPOINT='http://127.0.0.1:");
  expect(output).toContain('curl -X POST http://127.0.0.1:');
});

test('two simulators are two', async () => {
  const [one, other] = await Promise.all([startSimulator(), startSimulator()]);
  one.script({ times: 'always', answer: { kind: 'respond', status: 503 } });
  expect([(await sendSigned(one)).status, (await sendSigned(other)).status]).toEqual([503, 200]);
  expect([one.count(), other.count()]).toEqual([1, 1]);
  await Promise.all([one.stop(), other.stop()]);
});

test('a port in use is an error', async () => {
  const simulator = await startSimulator();
  await expect(startSimulator({ port: simulator.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await simulator.stop();
});

test('nothing here imports the code that it is there to check', () => {
  const files = readdirSync(HERE, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(20);
  const imported = files.flatMap((file) => {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    return [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)['"]([^'"]+)['"]/g)].map(
      ([, specifier]) => `${file}: ${specifier}`,
    );
  });
  expect(imported.length).toBeGreaterThan(50);
  const allowed =
    /: (node:[a-z_/]+|\.\/[a-z-]+\.ts|@huaweicloud\/huaweicloud-sdk-core(\/.*)?|zod|vitest|fast-check)$/;
  expect(imported.filter((line) => !allowed.test(line))).toEqual([]);
});
