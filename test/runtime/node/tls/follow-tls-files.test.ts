import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { createSharedFlight } from '../../../../src/platform/single-flight.ts';
import { followTlsFiles } from '../../../../src/runtime/node/tls/follow-tls-files.ts';
import { readTlsMaterial } from '../../../../src/runtime/node/tls/tls-material.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { startHttpService } from '../../../support/http-service.ts';
import { createRecordingLogger } from '../../../support/recording-logger.ts';
import { createSecretVolume, type SecretVolume } from '../../../support/secret-volume.ts';
import { createCertificate, type TestCertificate } from '../../../support/test-certificates.ts';

const ROTATIONS = 100;
const clients = createCertificate('clients');
const otherClients = createCertificate('other-clients');
const billing = createCertificate('billing', clients);
const authority = createCertificate('authority');
const [first, second, third] = ['first', 'second', 'third'].map((name) =>
  createCertificate(name, authority),
) as [TestCertificate, TestCertificate, TestCertificate];
const trust = { ca: authority.cert };

const volumes: SecretVolume[] = [];
const closing: Server[] = [];
afterEach(async () => {
  for (const server of closing.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  for (const volume of volumes.splice(0)) await volume.remove();
});

const contents = ({ cert, key }: TestCertificate, clientCa = clients) => ({
  'tls.crt': cert,
  'tls.key': key,
  'ca.crt': clientCa.cert,
});

/** Mounted files, and what follows them for a server. The clock moves only when it is told to. */
async function mount(initial: TestCertificate, hasClients = false) {
  const volume = await createSecretVolume(contents(initial));
  volumes.push(volume);
  const logger = createRecordingLogger();
  const clock = createFakeClock(Date.now());
  const files = {
    certFile: volume.file('tls.crt'),
    keyFile: volume.file('tls.key'),
    clientCaFile: hasClients ? volume.file('ca.crt') : undefined,
  };
  const material = readTlsMaterial({ ...initial, clientCa: hasClients ? clients.cert : undefined });
  const follow = (
    server: Parameters<typeof followTlsFiles>[0],
    readTextFile = (path: string) => readFile(path, 'utf8'),
  ) =>
    followTlsFiles(server, files, material, {
      ...clock,
      readTextFile,
      waitUntil: () => undefined,
      createSingleFlight: createSharedFlight,
      logger,
    });
  return { volume, logger, clock, material, files, follow };
}

/** Followed files, and the contexts that a server was given for its new connections. */
async function followed(initial: TestCertificate) {
  const mounted = await mount(initial);
  const given: (string | undefined)[] = [];
  const server = {
    setSecureContext: ({ cert }: { cert?: unknown }) => void given.push(String(cert)),
    on: () => server,
  };
  return { ...mounted, given, ...mounted.follow(server as unknown as Server) };
}

const nameOf = (subject: string) => /CN=(.*)$/m.exec(subject)?.[1];

/** The name in the certificate that a new connection is shown. */
async function shownAt(port: number, own: Partial<TestCertificate> = {}): Promise<string | undefined> {
  const socket = connect({ port, host: '127.0.0.1', ...trust, ...own });
  await once(socket, 'secureConnect');
  const { subject } = socket.getPeerX509Certificate() ?? { subject: '' };
  // The server has to see the end of the handshake.
  await once(socket.resume().end(), 'close');
  return nameOf(subject);
}

describe('100 rotations under load', () => {
  it('let no request fail, and new connections see the new certificate at once', async () => {
    const { follow, material, volume } = await mount(first);
    const { server, port, miss, answer, service } = await startHttpService({ tls: material });
    const { check } = follow(server as Server);
    answer();
    const authorization = /Authorization: (.*)\r/.exec(miss)?.[1] ?? '';
    const kept = new Agent({ keepAlive: true, maxSockets: 4 });
    const outcomes: Record<string, number> = {};
    let opened = 0;
    server.on('secureConnection', () => {
      opened += 1;
    });
    const ask = (agent: Agent | false) =>
      new Promise<void>((resolve) => {
        const done = (outcome: string) => {
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
          resolve();
        };
        const sent = request({
          ...{ port, host: '127.0.0.1', path: '/imagecaches', headers: { authorization } },
          ...{ agent, ...trust },
        });
        sent.on('response', (response) => {
          response.resume().on('end', () => done(`status ${response.statusCode}`));
          response.on('error', ({ name }) => done(name));
        });
        sent.on('error', ({ code = '' }: NodeJS.ErrnoException) => done(code));
        sent.end();
      });
    const names = new Set<string | undefined>();
    for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
      // Under way while the files change: on connections that are kept, and on new ones.
      const asked = [...Array.from({ length: 4 }, () => ask(kept)), ask(false), ask(false)];
      const next = rotation % 3;
      await volume.swap(contents([first, second, third][next] as TestCertificate));
      await check();
      const shown = await shownAt(port);
      expect(shown).toBe(['first', 'second', 'third'][next]);
      names.add(shown);
      await Promise.all(asked);
    }
    kept.destroy();
    expect(names.size).toBe(3);
    expect(outcomes).toEqual({ 'status 200': 6 * ROTATIONS });
    // The kept connections are the same from the first certificate to the last.
    expect(opened).toBe(4 + 2 * ROTATIONS + ROTATIONS);
    expect(service.logger.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('of the authority of clients too: what is open goes on, and a new connection needs the new one', async () => {
    const { follow, material, volume } = await mount(first, true);
    const { server, port } = await startHttpService({ tls: material });
    const { check } = follow(server as Server);
    const open = connect({ port, host: '127.0.0.1', ...trust, ...billing });
    await once(open, 'secureConnect');
    await volume.swap(contents(first, otherClients));
    await check();
    const refused = request({
      ...{ port, host: '127.0.0.1', path: '/livez', agent: false },
      ...{ ...trust, ...billing },
    }).end();
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^(?:ECONNRESET|EPROTO|ERR_SSL_\w+)$/);
    open.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n');
    const [bytes] = (await once(open, 'data')) as [Buffer];
    expect(bytes.toString()).toContain(' 200 ');
    open.destroy();
    await volume.swap(contents(first));
    await check();
    expect(await shownAt(port, billing)).toBe('first');
  });
});

describe('files that cannot be used', () => {
  it.each<[string, Record<string, string>, object]>([
    [
      'a key that does not fit',
      { ...contents(second), 'tls.key': third.key },
      { reason: 'key_mismatch', setting: 'TLS_KEY_FILE' },
    ],
    [
      'half a certificate',
      { ...contents(second), 'tls.crt': second.cert.slice(0, 300) },
      { reason: 'not_a_certificate', setting: 'TLS_CERT_FILE' },
    ],
    [
      'an empty certificate',
      { ...contents(second), 'tls.crt': '' },
      { reason: 'not_a_certificate', setting: 'TLS_CERT_FILE' },
    ],
    [
      'half a key',
      { ...contents(second), 'tls.key': second.key.slice(0, 100) },
      { reason: 'not_a_key', setting: 'TLS_KEY_FILE' },
    ],
  ])(
    'leave the last good ones in use, with one line, and the next good ones are taken: %s',
    async (_what, bad, fields) => {
      const { volume, check, given, logger } = await followed(first);
      await volume.swap({ ...contents(first), ...bad });
      for (let count = 0; count < 3; count += 1) await check();
      expect(given).toEqual([]);
      const message = 'the files of TLS are not usable: the last good ones stay in use';
      expect(logger.lines).toEqual([{ level: 'warn', fields, message }]);
      await volume.swap(contents(second));
      await check();
      expect(given).toEqual([second.cert]);
      expect(logger.lines.slice(1).map(({ level, message: text }) => [level, text])).toEqual([
        ['info', 'the files of TLS are good again'],
        ['info', 'the files of TLS were replaced'],
      ]);
      await check();
      expect(given).toHaveLength(1);
    },
  );

  it('are gone: the last good ones stay in use', async () => {
    const { volume, check, given, logger } = await followed(first);
    await rm(volume.file('tls.key'));
    for (let count = 0; count < 3; count += 1) await check();
    expect(given).toEqual([]);
    expect(logger.lines).toMatchObject([
      { level: 'warn', fields: { reason: 'unreadable', error: { code: 'ENOENT' } } },
    ]);
  });

  it('are written one after the other: both are taken together', async () => {
    const { volume, check, given } = await followed(first);
    for (const [name, text] of [
      ['tls.crt', second.cert],
      ['tls.key', second.key],
    ] as const) {
      await rm(volume.file(name));
      await writeFile(volume.file(name), text);
      await check();
    }
    expect(given).toEqual([second.cert]);
  });

  it('are swapped between two readings: none of what was before is mixed with what is after', async () => {
    const { volume, follow, logger } = await mount(first);
    const given: string[] = [];
    const server = {
      setSecureContext: ({ cert }: { cert: string }) => void given.push(cert),
      on: () => server,
    };
    let readings = 0;
    const { check } = follow(server as unknown as Server, async (path) => {
      readings += 1;
      // After the certificate of the first reading, before its key.
      if (readings === 2) await volume.swap(contents(second));
      return readFile(path, 'utf8');
    });
    await check();
    await check();
    expect(given).toEqual([second.cert]);
    expect(logger.lines.map(({ level }) => level)).toEqual(['info']);
  });

  it('are read for 1 second at most', async () => {
    const { follow, logger, clock } = await mount(first);
    const server = { setSecureContext: () => undefined, on: () => server };
    const { check } = follow(server as unknown as Server, () => new Promise<string>(() => undefined));
    const checked = check();
    await clock.scheduled(1000);
    await clock.advance(1000);
    await checked;
    expect(logger.lines).toMatchObject([{ level: 'warn', fields: { reason: 'unreadable' } }]);
  });
});

describe('a certificate that expires while it is in use', () => {
  it('is warned of once, and again when the next one has expired too', async () => {
    const { check, logger, clock, volume, given } = await followed(first);
    await check();
    expect(logger.lines).toEqual([]);
    clock.set(3 * 86_400_000);
    for (let count = 0; count < 3; count += 1) await check();
    expect(logger.lines).toMatchObject([
      { level: 'warn', fields: { setting: 'TLS_CERT_FILE', expires: expect.stringMatching(/^20.*Z$/) } },
    ]);
    await volume.swap(contents(second));
    for (let count = 0; count < 3; count += 1) await check();
    // It is taken all the same: clients may know better what time it is.
    expect(given).toEqual([second.cert]);
    expect(logger.lines.map(({ level }) => level)).toEqual(['warn', 'info', 'warn']);
  });
});

describe('the files of a server', () => {
  it('are followed by themselves', async () => {
    const { follow, volume, material } = await mount(first);
    const server = createServer(material.context);
    closing.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    follow(server);
    await volume.swap(contents(second));
    while ((await shownAt(port)) !== 'second');
  });
});
