import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../../deploy/demo/token-issuer.ts';
import type { Finding } from '../../../../src/runtime/node/doctor/findings.ts';
import { createReport, summarise } from '../../../../src/runtime/node/doctor/report.ts';
import { DEFAULT_ACCESS_KEY, type Simulator, startSimulator } from '../../../simulator/simulator.ts';
import { freePort } from '../../../support/free-port.ts';
import { hasRedisServer, startRedisServer } from '../redis/redis-server.ts';
import { endAll, type RunningProcess, startProcess } from '../running-process.ts';

const PATH = '/v5/imagecaches';
const PLANTED = 'PlantedSecretOfTheDoctor0001';
/** By this clock all is answered at once, however slow the machine is. */
const STOPPED_CLOCK = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent('performance.now = () => 0;')}`,
};

let simulator: Simulator;
let issuer: TokenIssuer;
let folder: string;
const running: RunningProcess[] = [];
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  folder = await mkdtemp(join(tmpdir(), 'doctor-'));
});
afterEach(async () => {
  await endAll(running);
  for (const close of closing.splice(0)) await close();
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
  await rm(folder, { recursive: true });
});

function settings(more: Record<string, string> = {}): Record<string, string> {
  // Without what is for the SDKs of callers.
  const ofService = Object.entries(simulator.environment).filter(
    ([name]) => !/^HUAWEICLOUD_SDK_(?:REGION_|IAM_)/.test(name),
  );
  return {
    ...Object.fromEntries(ofService),
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    ...more,
  };
}

async function run(environment: Record<string, string>, args: readonly string[] = []) {
  const started = startProcess('src/runtime/node/doctor.ts', args, environment);
  running.push(started);
  const code = await started.exited;
  return { code, output: started.stdout() + started.stderr() };
}

async function examine(more: Record<string, string> = {}) {
  const { code, output } = await run(settings(more), ['--json']);
  const { ok, findings } = JSON.parse(output) as { ok: boolean; findings: Finding[] };
  const the = (name: string) => findings.find((finding) => finding.name === name) as Finding;
  const failed = findings.filter(({ status }) => status === 'failed').map(({ name }) => name);
  return { code, ok, output, findings, the, failed };
}

async function serve(server: http.Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the doctor', () => {
  it('finds all well, with one signed call', async () => {
    const { code, ok, findings, the } = await examine();
    expect([code, ok]).toEqual([0, true]);
    expect(findings.map(({ status }) => status)).toEqual(findings.map(() => 'ok'));
    expect(the('permission').detail).toBe('cce:imageCache:list is granted: 50 image caches');
    expect(the('credential').detail).toContain(`…${DEFAULT_ACCESS_KEY.accessKeyId.slice(-4)}`);
    const signed = simulator.requests.filter(({ headers }) =>
      headers.some(([name]) => name.toLowerCase() === 'authorization'),
    );
    expect(signed).toHaveLength(1);
  });

  it('lists all that is wrong with the settings, and needs nothing more', async () => {
    const { code, findings, the } = await examine({ PORT: 'x', AUTH_AUDIENCE: '' });
    expect(code).toBe(1);
    expect(findings).toHaveLength(1);
    expect(the('configuration').detail).toMatch(/PORT must be .*; AUTH_AUDIENCE is missing/);
  });

  it('warns of settings that have no effect, by name, and names them beside faults', async () => {
    const useless = { AUTH_ISUER: PLANTED, HUAWEICLOUD_SDK_DOMAIN_ID: PLANTED };
    const named =
      'AUTH_ISUER has no effect: did you mean AUTH_ISSUER?; HUAWEICLOUD_SDK_DOMAIN_ID has no effect: this service does not read it';
    const good = await examine(useless);
    expect([good.code, good.failed]).toEqual([0, []]);
    expect(good.the('configuration')).toEqual({
      name: 'configuration',
      status: 'warning',
      detail: `the settings are valid; ${named}`,
      remedy: 'Correct the names, or remove what has no effect.',
    });
    const bad = await examine({ ...useless, AUTH_ISSUER: '' });
    expect(bad.the('configuration').detail).toMatch(/AUTH_ISSUER is missing/);
    expect(bad.the('configuration').detail.endsWith(`; ${named}`)).toBe(true);
    expect(good.output + bad.output).not.toContain(PLANTED);
  });

  it.each([
    [
      'a wrong secret',
      { HUAWEICLOUD_SDK_SK: PLANTED },
      /not the one that the vendor computes/,
      /HUAWEICLOUD_SDK_SK/,
    ],
    [
      'an unknown key',
      { HUAWEICLOUD_SDK_AK: 'PLANTEDUNKNOWNKEY01' },
      /does not know this access key/,
      /another partition/,
    ],
    [
      'an unknown token',
      { HUAWEICLOUD_SDK_AK: '', HUAWEICLOUD_SDK_SK: '', CCE_AUTH_TOKEN: PLANTED },
      /does not accept the token/,
      /CCE_AUTH_TOKEN_FILE/,
    ],
  ])('finds %s, by one refusal', async (_what, more, detail, remedy) => {
    const { code, failed, the } = await examine(more);
    expect([code, failed]).toEqual([1, ['signature']]);
    expect(the('signature').detail).toMatch(detail);
    expect(the('signature').remedy).toMatch(remedy);
    expect(the('permission').status).toBe('skipped');
    const refusals = simulator.requests.filter(
      ({ authentication }) => !['accepted', 'none', 'missing-authorization'].includes(authentication),
    );
    expect(refusals).toHaveLength(1);
  });

  it.each([
    ['a locked key', 'locked', 'signature', /has locked this access key/],
    ['a rejected date', 'clock', 'signature', /rejects the date/],
    [
      'a missing permission',
      'cce-forbidden',
      'permission',
      /may not list image caches \(status 403, CCE\.01403001\)/,
    ],
    ['a user that the gateway refuses', 'forbidden', 'permission', /may not list image caches/],
    ['a throttled account', 'throttled', 'permission', /status 429/],
    ['a fault of the vendor', 'internal', 'permission', /status 500/],
  ] as const)('finds %s', async (_what, error, name, detail) => {
    // A call without a signature is refused before the script is looked at.
    simulator.script({ match: { path: PATH }, answer: { kind: 'refuse', error } });
    const { code, failed, the, output } = await examine();
    expect([code, failed]).toEqual([1, [name]]);
    expect(the(name).detail).toMatch(detail);
    expect(output).not.toMatch(/iam-user-0001|etcd|10\.247/);
  });

  it('finds a token that is rejected without a cause', async () => {
    simulator.authTokens.add(PLANTED);
    simulator.script({ match: { path: PATH }, answer: { kind: 'respond', status: 401, text: '{}' } });
    const token = { HUAWEICLOUD_SDK_AK: '', HUAWEICLOUD_SDK_SK: '', CCE_AUTH_TOKEN: PLANTED };
    const { failed, the, output } = await examine(token);
    expect(failed).toEqual(['signature']);
    expect(the('signature').detail).toBe('the vendor does not accept the token (status 401)');
    expect(output).not.toContain(PLANTED);
  });

  it('finds a clock that is off, and goes on with the right time', async () => {
    simulator.setClockSkewMs(20 * 60_000);
    const { code, the } = await examine();
    expect(code).toBe(0);
    expect(the('clock')).toMatchObject({
      status: 'warning',
      detail: expect.stringMatching(/^this clock is \d+ s behind/),
    });
    expect(the('signature').status).toBe('ok');
  });

  it('finds a name that there is not', async () => {
    const { failed, the } = await examine({ CCE_ENDPOINT: 'https://no-such-host.invalid' });
    expect(failed).toEqual(['name of the endpoint']);
    expect(the('name of the endpoint').remedy).toContain('CCE_REGION');
    for (const name of ['connection', 'gateway', 'clock', 'signature', 'permission'])
      expect(the(name).status).toBe('skipped');
  });

  it('finds a closed port', async () => {
    const { failed, the } = await examine({ CCE_ENDPOINT: 'https://127.0.0.1:1' });
    expect(failed).toEqual(['connection']);
    expect(the('connection').detail).toContain('refuses connections');
  });

  it('finds a certificate that is not trusted, and a port that speaks no TLS', async () => {
    execFileSync(
      'openssl',
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=proxy.example'.split(
        ' ',
      ),
      { cwd: folder, stdio: 'ignore' },
    );
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(join(folder, name)));
    const tls = await serve(https.createServer({ cert, key } as https.ServerOptions));
    const untrusted = await examine({ CCE_ENDPOINT: `https://${tls}` });
    expect(untrusted.failed).toEqual(['connection']);
    expect(untrusted.the('connection').remedy).toContain('proxy that opens TLS');
    const plain = await examine({ CCE_ENDPOINT: simulator.url.replace('http:', 'https:') });
    expect(plain.failed).toEqual(['connection']);
    expect(plain.the('connection').detail).toContain('does not speak TLS');
  });

  it('finds a page where the gateway should be, and sends no signature there', async () => {
    let authorizations = 0;
    const host = await serve(
      http.createServer((request, response) => {
        if (request.headers.authorization !== undefined) authorizations += 1;
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end(`<html>${PLANTED}`);
      }),
    );
    const { failed, the, output } = await examine({ CCE_ENDPOINT: `http://${host}` });
    expect(failed).toEqual(['gateway']);
    expect(the('gateway').detail).toContain('a page');
    expect(authorizations).toBe(0);
    expect(output).not.toContain(PLANTED);
  });

  it('finds a credential that no source gives', async () => {
    const { HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, ...rest } = settings();
    const { code, output } = await run(
      { ...rest, HUAWEICLOUD_CREDENTIALS: 'metadata', HUAWEICLOUD_METADATA_ENDPOINT: 'http://127.0.0.1:1' },
      [],
    );
    expect(code).toBe(1);
    expect(output).toMatch(
      /✗ credential: the agency of the node gives no credential[^\n]*\n {2}→ .*169\.254\.169\.254/,
    );
  });

  it('names what is not set, when only the node is left to ask', async () => {
    const { HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, ...rest } = settings();
    const { code, output } = await run({ ...rest, HUAWEICLOUD_METADATA_ENDPOINT: 'http://127.0.0.1:1' }, []);
    expect(code).toBe(1);
    expect(output).toContain('and no other source is configured: none of HUAWEICLOUD_OIDC_PROVIDER_URN,');
    expect(output).toContain('HC_CONTAINER_AUTHORIZATION_TOKEN_FILE (pod) is set');
  });

  it.each([
    ['none', undefined, 'token_file_unreadable: the file with the token cannot be read'],
    ['token', `${PLANTED}`, 'status_401: it does not accept the token or the key'],
  ])('says why STS gives no credential: %s', async (name, token, reason) => {
    const { HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, ...rest } = settings();
    const file = join(folder, name);
    if (token !== undefined) await writeFile(file, token);
    const { output } = await run({
      ...rest,
      HUAWEICLOUD_OIDC_PROVIDER_URN: 'iam::0000000000000000000000000000d001:oidcProvider:cluster',
      HUAWEICLOUD_OIDC_AGENCY_URN: 'iam::0000000000000000000000000000d001:agency:imagecaches',
      HUAWEICLOUD_OIDC_TOKEN_FILE: file,
      HUAWEICLOUD_SDK_STS_ENDPOINT: simulator.url,
    });
    expect(output).toContain(`✗ credential: an OIDC token gives no credential (${reason})`);
    expect(output).not.toContain(PLANTED);
  });

  it('speaks of an agency and of the source that assumes it', async () => {
    const agency = {
      HUAWEICLOUD_SDK_STS_ENDPOINT: simulator.url,
      HUAWEICLOUD_ASSUME_AGENCY_URN: 'iam::0000000000000000000000000000d002:agency:readers',
    };
    const name = 'the agency of HUAWEICLOUD_ASSUME_AGENCY_URN (by a key pair of the settings)';
    expect((await run(settings(agency))).output).toContain(`✓ credential: ${name}, access key id …`);
    const { output } = await run(settings({ ...agency, HUAWEICLOUD_SDK_SK: PLANTED }));
    const cause = 'status_401: it does not accept the token or the key';
    expect(output).toContain(`✗ credential: ${name} gives no credential (${cause})`);
    expect(output).not.toContain(PLANTED);
  });

  it('finds a file that is not there', async () => {
    const { HUAWEICLOUD_SDK_SK, ...rest } = settings();
    const { code, output } = await run({ ...rest, HUAWEICLOUD_SDK_SK_FILE: join(folder, 'none') });
    expect(code).toBe(1);
    expect(output).toContain('HUAWEICLOUD_SDK_SK_FILE names a file that cannot be read (ENOENT)');
  });

  it('finds what is wrong with a project that is looked up', async () => {
    const auto = {
      CCE_REGION: 'cn-north-4',
      HUAWEICLOUD_SDK_PROJECT_ID: 'auto',
      HUAWEICLOUD_SDK_IAM_ENDPOINT: simulator.url,
    };
    expect((await examine(auto)).the('project')).toMatchObject({ status: 'ok' });
    simulator.setProjects([]);
    const none = await examine(auto);
    expect(none.failed).toEqual(['project']);
    expect(none.the('project').remedy).toContain('no project in this region');
    expect(none.the('signature').status).toBe('skipped');
  });

  it.each([
    ['no OpenID configuration', '/other', (): object => ({}), /status_404/, /AUTH_JWKS_URL/],
    [
      'another issuer',
      '/.well-known/openid-configuration',
      (host: string) => ({ issuer: `http://${host}/`, jwks_uri: `http://${host}/jwks` }),
      /names another issuer/,
      /slash/,
    ],
    [
      'an empty key set',
      '/.well-known/openid-configuration',
      (host: string) => ({ issuer: `http://${host}`, jwks_uri: `http://${host}/jwks` }),
      /what came is not its keys/,
      /key set is empty/,
    ],
  ] as const)('finds an issuer with %s', async (_what, path, document, detail, remedy) => {
    const host = await serve(
      http.createServer((request, response) => {
        const body =
          request.url === path
            ? document(String(request.headers.host))
            : request.url === '/jwks'
              ? { keys: [] }
              : undefined;
        response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body ?? {}));
      }),
    );
    const { failed, the } = await examine({ AUTH_ISSUER: `http://${host}` });
    expect(failed).toEqual([`issuer ${host}`]);
    expect(the(`issuer ${host}`).detail).toMatch(detail);
    expect(the(`issuer ${host}`).remedy).toMatch(remedy);
  });

  it('finds keys that the settings do not take, and an issuer that cannot be reached', async () => {
    const file = join(folder, 'jwks.json');
    await writeFile(file, JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA', alg: 'HS256' }] }));
    const symmetric = await examine({ AUTH_JWKS_FILE: file });
    const name = `issuer ${new URL(issuer.issuer).host}`;
    expect(symmetric.the(name).detail).toBe('none of its keys can be used (HS256)');
    const host = `127.0.0.1:${await freePort()}`;
    const gone = await examine({ AUTH_ISSUER: `http://${host}` });
    expect(gone.the(`issuer ${host}`)).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('says whether a caller with a token would be let in, and names the claim that fails', async () => {
    const file = join(folder, 'token');
    const tries: [object, Record<string, string>, RegExp, RegExp][] = [
      [{}, {}, /^a caller with it is let in$/, /^$/],
      [{ audience: 'planted' }, {}, /refused: claim_wrong, by the claim aud$/, /AUTH_AUDIENCE_CLAIM/],
      [{ scope: 'planted' }, {}, /missing_scope, by the claim scope scp$/, /AUTH_SCOPE_CLAIM/],
      [
        { scope: 'planted' },
        { AUTH_SCOPE_CLAIM: 'realm_access.roles' },
        /claim realm_access\.roles$/,
        /path/,
      ],
      [{}, { AUTH_AUDIENCE_CLAIM: 'client_id' }, /claim_missing, by the claim client_id$/, /audienceClaim/],
      [
        {},
        { AUTH_ISSUER: `${issuer.issuer}/`, AUTH_JWKS_URL: `${issuer.issuer}/jwks.json` },
        /by the claim iss$/,
        /slash/,
      ],
    ];
    for (const [claims, more, detail, remedy] of tries) {
      const token = await issuer.sign(claims);
      await writeFile(file, `\ufeff${token}\n`);
      const { code, output } = await run(settings(more), ['--json', '--token-file', file]);
      const { findings } = JSON.parse(output) as { findings: Finding[] };
      const found = findings.find(({ name }) => name === 'token');
      expect(found?.detail).toMatch(detail);
      expect(found?.remedy ?? '').toMatch(remedy);
      expect(code).toBe(found?.status === 'ok' ? 0 : 1);
      for (const part of [...token.split('.'), 'planted']) expect(output).not.toContain(part);
    }
    await writeFile(file, 'planted');
    const { output } = await run(settings(), ['--token-file', file]);
    expect(output).toContain('✗ token: there is no token in the file');
    expect(output).not.toContain('planted');
  });

  it('finds a port that is taken', async () => {
    const port = (await serve(http.createServer())).split(':')[1] as string;
    const { code, the } = await examine({ METRICS_PORT: port });
    expect(code).toBe(0);
    expect(the('metrics port')).toMatchObject({ status: 'warning', detail: `127.0.0.1:${port} is taken` });
  });

  it('writes IPv6 addresses in brackets', async () => {
    const port = String(await freePort());
    const { the } = await examine({ HOST: '::1', METRICS_PORT: port });
    expect(the('metrics port')).toMatchObject({ status: 'ok', detail: `[::1]:${port} is free` });
  });

  it('prints what its page shows', async () => {
    const page = await readFile(new URL('../../../../docs/doctor.md', import.meta.url), 'utf8');
    const { output } = await run(settings({ HUAWEICLOUD_SDK_SK: PLANTED }));
    const masked = output
      .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
      .replace(/agree to \d s/, 'agree to 0 s');
    expect(page).toContain(`\`\`\`\n${masked}\`\`\``);
  });

  it('says how it is used', async () => {
    expect(await run({}, ['--help'])).toEqual({
      code: 0,
      output: 'Usage: npm run doctor [-- --json] [--token-file FILE]\n',
    });
    expect((await run({}, ['--fast'])).code).toBe(64);
  });

  describe.skipIf(!hasRedisServer())('of Redis', () => {
    it('finds it well, its password wrong, or nobody there', async () => {
      const redis = await startRedisServer(['--requirepass', PLANTED]);
      closing.push(redis.stop);
      const good = await examine({
        ...STOPPED_CLOCK,
        REDIS_URL: redis.url.replace('//', `//:${PLANTED}@`),
      });
      expect(good.the('Redis')).toMatchObject({
        status: 'ok',
        detail: expect.stringMatching(/^it answers in \d+ ms, and every command that is needed works$/),
      });
      const wrong = await examine({ REDIS_URL: redis.url.replace('//', `//:${PLANTED}x@`) });
      expect(wrong.the('Redis').detail).toBe('it refuses the user or the password');
      await redis.kill();
      const gone = await examine({ REDIS_URL: redis.url });
      expect(gone.the('Redis').detail).toBe('it does not answer (ECONNREFUSED)');
      for (const { output } of [good, wrong, gone]) expect(output).not.toContain(PLANTED);
    });

    it('names what does not work, and what is done without', async () => {
      const redis = await startRedisServer();
      closing.push(redis.stop);
      const client = createClient({ url: redis.url });
      client.on('error', () => undefined);
      await client.connect();
      closing.push(async () => client.destroy());
      const findingWith = async (...command: string[]) => {
        await client.sendCommand(command);
        return (await examine({ ...STOPPED_CLOCK, REDIS_URL: redis.url })).the('Redis');
      };
      expect(await findingWith('CONFIG', 'SET', 'maxmemory', '1')).toMatchObject({
        status: 'failed',
        detail: 'it does not work: OOM for HSET, SET',
      });
      await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '0']);
      expect(await findingWith('ACL', 'SETUSER', 'default', '-eval', '-subscribe')).toMatchObject({
        status: 'warning',
        detail: 'it forbids EVAL and SUBSCRIBE: the service goes on without scripting and channels',
      });
      expect(await findingWith('ACL', 'SETUSER', 'default', '-time')).toMatchObject({
        status: 'failed',
        detail: 'it does not work: NOPERM for TIME',
      });
    });

    it('says that a password must be percent-encoded, and shows nothing of it', async () => {
      for (const password of [`${PLANTED}100%`, `${PLANTED}#1`, `${PLANTED}/1`]) {
        const { the, output } = await examine({ REDIS_URL: `redis://:${password}@127.0.0.1` });
        expect(the('configuration').detail).toContain('must be percent-encoded in a URL');
        expect(output).not.toContain(PLANTED);
      }
    });
  });

  const { accessKeyId, secretAccessKey } = DEFAULT_ACCESS_KEY;
  it.each([
    ['when all is well', {}],
    ['of a key that is wrong', { HUAWEICLOUD_SDK_SK: PLANTED }],
    ['of a token that is wrong', { HUAWEICLOUD_SDK_SECURITY_TOKEN: PLANTED }],
    ['of a setting that is none', { PORT: PLANTED }],
  ])('shows no secret %s, in lines or in JSON', async (_what, more) => {
    for (const args of [[], ['--json']]) {
      const { output } = await run(settings(more), args);
      expect(output).not.toBe('');
      for (const secret of [PLANTED, secretAccessKey, accessKeyId]) expect(output).not.toContain(secret);
    }
  });
});

describe('the report', () => {
  const findings: Finding[] = [
    { name: 'one', status: 'ok', detail: 'fine' },
    { name: 'two', status: 'failed', detail: 'broken', remedy: 'fix it' },
  ];
  function written(options: { isTerminal: boolean; hasColour: boolean }): string {
    let text = '';
    const report = createReport({ ...options, write: (more) => (text += more) });
    for (const finding of findings) {
      report.begin(finding.name);
      report.end(finding);
    }
    return text;
  }

  it('is plain lines where it is no terminal', () => {
    expect(written({ isTerminal: false, hasColour: false })).toBe('✓ one: fine\n✗ two: broken\n  → fix it\n');
  });

  it('shows what is under way on a terminal, and writes over it', () => {
    expect(written({ isTerminal: true, hasColour: false })).toBe(
      '… one\r\u001b[K✓ one: fine\n… two\r\u001b[K✗ two: broken\n  → fix it\n',
    );
    expect(written({ isTerminal: true, hasColour: true })).toContain('\u001b[31m✗\u001b[0m two');
  });

  it('ends with a verdict', () => {
    expect(summarise(findings)).toEqual({ isWell: false, text: 'Something is wrong: 1 failed, 0 warnings.' });
    expect(summarise(findings.slice(0, 1)).isWell).toBe(true);
  });
});
