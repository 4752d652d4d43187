import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProjectIdSource, type ProjectIdSource } from '../../src/credentials/project-id.ts';
import type { KeyKnowledge, KeyProofs } from '../../src/fleet/key-proofs.ts';
import type { Credential } from '../../src/signing/credential.ts';
import { createProviderDependencies } from '../credentials/scripted-source.ts';
import { PROJECTS_PATH } from '../simulator/projects-endpoint.ts';
import { DEFAULT_PROJECT, type Simulator, startSimulator } from '../simulator/simulator.ts';

/** The last 16 access keys are remembered with what IAM said. */
const MAX_REMEMBERED_KEYS = 16;
/** One look-up takes 5 seconds at most. */
const PROJECT_LOOKUP_TIMEOUT_MS = 5000;
/** A key that IAM refused is not sent again for 5 minutes: refusals in a row lock it. */
const REJECTED_PAUSE_MS = 300_000;
/** After none or several projects IAM is asked again in 60 seconds. */
const UNDECIDED_PAUSE_MS = 60_000;

const REGION = DEFAULT_PROJECT.name;
const PLANTED = (number: number) => ({
  accessKeyId: `PLANTEDACCESS${number}`,
  secretAccessKey: `PLANTEDsecret${number}`,
  securityToken: `PLANTEDtoken${number}`,
});

/** IAM rejects our date. */
const OUR_CLOCK = {
  match: { path: PROJECTS_PATH },
  verify: false,
  answer: {
    kind: 'respond',
    status: 401,
    json: {
      error_code: 'APIGW.0301',
      error_msg:
        'Incorrect IAM authentication information: signature expired, signature time:x,server time:y',
    },
  },
} as const;

let simulator: Simulator;
let context = createProviderDependencies();
let source: ProjectIdSource;

beforeAll(async () => {
  simulator = await startSimulator({
    now: () => context.clock.now(),
    accessKeys: Array.from({ length: 30 }, (_, number) => PLANTED(number)),
  });
});
beforeEach(() => {
  context = createProviderDependencies();
  source = createProjectIdSource({ region: REGION, iamEndpoint: simulator.url }, { ...context.deps, fetch });
});
afterEach(() => {
  const text = JSON.stringify(context.logger.lines);
  expect(text).not.toContain('PLANTED');
  simulator.reset();
});
afterAll(() => simulator.stop());

const messages = () => context.logger.lines.map(({ level, message }) => `${level}: ${message}`);

async function codeOf(credential: Credential): Promise<string> {
  try {
    await source.get(credential);
    return 'no error';
  } catch (error) {
    expect(error).toMatchObject({ name: 'CredentialUnavailableError' });
    expect((error as Error).stack).not.toContain('PLANTED');
    return (error as { code: string }).code;
  }
}

describe('the project id', () => {
  it('is looked up once with a signed request, and then known at once for that key', async () => {
    const found = await Promise.all(Array.from({ length: 10 }, () => source.get(PLANTED(1))));
    expect(new Set(found)).toEqual(new Set([DEFAULT_PROJECT.id]));
    expect(source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
    expect(simulator.requests).toHaveLength(1);
    const [request] = simulator.requests;
    expect(request).toMatchObject({
      method: 'GET',
      url: `${PROJECTS_PATH}?name=${REGION}`,
      authentication: 'accepted',
    });
    expect(request?.headers.map(([name]) => name.toLowerCase())).not.toContain('x-project-id');
    expect(context.logger.lines).toMatchObject([
      { level: 'info', fields: { region: REGION, projectId: DEFAULT_PROJECT.id } },
    ]);
    expect(context.clock.pending).toBe(0);
  });

  it('is looked up again for another key', async () => {
    await source.get(PLANTED(1));
    simulator.setProjects([{ id: 'another', name: REGION }]);
    expect(await source.get(PLANTED(2))).toBe('another');
    expect(source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
  });

  it('is remembered for the last 16 keys', async () => {
    for (let number = 0; number <= MAX_REMEMBERED_KEYS; number += 1) await source.get(PLANTED(number));
    expect(source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
    const again = source.get(PLANTED(0));
    expect(again).toBeInstanceOf(Promise);
    await again;
  });

  it.each([
    ['none', [], 'project_none', 'IAM knows no project of this region'],
    ['only a sub-project', [{ id: 'sub', name: `${REGION}_sub` }], 'project_none', 'no project'],
    [
      'several',
      [
        { id: 'id-1', name: REGION },
        { id: 'id-2', name: REGION },
      ],
      'project_several',
      'several projects',
    ],
  ])(
    '%s is an error that names the ids and the setting, and nothing is created',
    async (_name, projects, code, text) => {
      simulator.setProjects(projects);
      expect(await codeOf(PLANTED(1))).toBe(code);
      const ids = projects.filter(({ name }) => name === REGION).map(({ id }) => id);
      expect(context.logger.lines).toMatchObject([{ level: 'error', fields: { projectIds: ids } }]);
      expect(messages()[0]).toContain(text);
      expect(messages()[0]).toContain('HUAWEICLOUD_SDK_PROJECT_ID');
      // Asked again after a minute, not before.
      await context.clock.advance(UNDECIDED_PAUSE_MS - 1);
      expect(await codeOf(PLANTED(1))).toBe(code);
      expect(simulator.requests).toHaveLength(1);
      await context.clock.advance(1);
      simulator.setProjects(undefined);
      expect(await source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
      expect(simulator.requests.map(({ method }) => method)).toEqual(['GET', 'GET']);
    },
  );
});

it('logs the first 20 of many project ids, and how many there are', async () => {
  const projects = Array.from({ length: 21 }, (_, index) => ({ id: `id-${index}`, name: REGION }));
  simulator.setProjects(projects);
  expect(await codeOf(PLANTED(1))).toBe('project_several');
  const projectIds = projects.slice(0, 20).map(({ id }) => id);
  expect(context.logger.lines).toMatchObject([{ level: 'error', fields: { projects: 21, projectIds } }]);
});

describe('IAM that does not answer', () => {
  const refuse = (status: number) =>
    simulator.script({
      match: { path: PROJECTS_PATH },
      answer: { kind: 'respond', status, json: { error: { code: status, message: 'PLANTED' } } },
    });

  it('is asked again after a pause that doubles', async () => {
    for (const pauseMs of [1000, 2000, 4000]) {
      refuse(500);
      expect(await codeOf(PLANTED(1))).toBe('project_lookup_failed');
      const count = simulator.count();
      await context.clock.advance(pauseMs - 1);
      expect(await codeOf(PLANTED(1))).toBe('project_lookup_failed');
      expect(simulator.count()).toBe(count);
      await context.clock.advance(1);
    }
    expect(await source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
  });

  it.each([
    ['a fault', { kind: 'respond', status: 503, text: 'PLANTED' } as const],
    ['a reset', { kind: 'reset' } as const],
    ['a redirect', { kind: 'redirect', location: null } as const],
    ['no JSON', { kind: 'respond', status: 200, text: 'PLANTED' } as const],
    ['no list', { kind: 'respond', status: 200, json: { projects: null } } as const],
    ['a malformed id', { kind: 'respond', status: 200, json: { projects: [{ id: 'PLANTED id' }] } } as const],
    ['a flood', { kind: 'huge', bodyBytes: 10_000_000 } as const],
  ])('leaves a new key with the id of the one before: %s', async (_name, answer) => {
    simulator.script({ match: { path: PROJECTS_PATH }, answer });
    expect(await codeOf(PLANTED(1))).toBe('project_lookup_failed');
    await source.get(PLANTED(2));
    simulator.script({ match: { path: PROJECTS_PATH }, answer });
    expect(await source.get(PLANTED(3))).toBe(DEFAULT_PROJECT.id);
    // It is still asked about.
    await context.clock.advance(1000);
    simulator.setProjects([{ id: 'another', name: REGION }]);
    expect(await source.get(PLANTED(3))).toBe('another');
  });

  it('is given up after 5 seconds', async () => {
    simulator.hold('hang');
    const outcome = codeOf(PLANTED(1));
    await simulator.arrived('hang');
    let isOver = false;
    void outcome.then(() => {
      isOver = true;
    });
    await context.clock.advance(PROJECT_LOOKUP_TIMEOUT_MS - 1);
    expect(isOver).toBe(false);
    await context.clock.advance(1);
    expect(await outcome).toBe('project_lookup_failed');
    await simulator.abandoned('hang');
  });
});

describe('IAM that rejects the key', () => {
  it('is not asked again with it for 5 minutes, and no other id is taken', async () => {
    await source.get(PLANTED(1));
    simulator.credentials.remove(PLANTED(2).accessKeyId);
    simulator.forgetRequests();
    expect(await codeOf(PLANTED(2))).toBe('project_refused');
    await context.clock.advance(REJECTED_PAUSE_MS - 1);
    expect(await codeOf(PLANTED(2))).toBe('project_refused');
    expect(simulator.count()).toBe(1);
    simulator.credentials.add(PLANTED(2));
    await context.clock.advance(1);
    expect(await source.get(PLANTED(2))).toBe(DEFAULT_PROJECT.id);
  });

  it.each([
    [{ authToken: 'PLANTEDtoken' }, 'the vendor does not accept the token'],
    [PLANTED(1), 'the signature is not the one that the vendor computes'],
  ])('without a cause is told as one of what was sent: case %#', async (credential, cause) => {
    simulator.authTokens.add('PLANTEDtoken');
    const answer = { kind: 'respond', status: 401, text: '{}' } as const;
    simulator.script({ match: { path: PROJECTS_PATH }, verify: false, answer });
    expect(await codeOf(credential)).toBe('project_refused');
    expect(context.logger.lines.map(({ fields }) => fields.cause)).toEqual([cause]);
  });

  it('because of our clock is asked once more, with the right time', async () => {
    simulator.setClockSkewMs(20 * 60_000);
    simulator.script(OUR_CLOCK);
    expect(await source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
    expect(simulator.requests.map(({ authentication }) => authentication)).toEqual(['none', 'accepted']);
  });

  it('because of our clock and then does not answer counts as a rejection: nothing else is tried with the key', async () => {
    simulator.setClockSkewMs(20 * 60_000);
    simulator.script(OUR_CLOCK, {
      match: { path: PROJECTS_PATH },
      times: 'always',
      verify: false,
      answer: { kind: 'reset' },
    });
    expect(await codeOf(PLANTED(1))).toBe('project_refused');
    const asked = simulator.requests.length;
    expect(asked).toBeGreaterThanOrEqual(2);
    await context.clock.advance(REJECTED_PAUSE_MS - 1);
    expect(await codeOf(PLANTED(1))).toBe('project_refused');
    expect(simulator.requests).toHaveLength(asked);
  });
});

describe('IAM and several replicas', () => {
  function among(...answers: ('busy' | 'locked_out' | 'ours')[]) {
    const told: string[] = [];
    const known: KeyKnowledge[] = [];
    const keyProofs: KeyProofs = {
      async enter(_credential, knowledge) {
        known.push(knowledge);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        return answer === 'ours' ? { leave: async (verdict) => void told.push(verdict) } : answer;
      },
    };
    const options = { region: REGION, iamEndpoint: simulator.url };
    source = createProjectIdSource(options, { ...context.deps, fetch, keyProofs });
    return { known, told };
  }

  it('is asked after them, and they are told what it says of the key', async () => {
    const { known, told } = among('ours');
    expect(await source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
    simulator.credentials.remove(PLANTED(2).accessKeyId);
    expect(await codeOf(PLANTED(2))).toBe('project_refused');
    expect(told).toEqual(['accepted', 'rejected']);
    expect(known[0]).toEqual({ isAccepted: false, isClockCorrected: false });
  });

  it('is asked a second time, with the right time, after them too', async () => {
    const { known, told } = among('ours');
    simulator.setClockSkewMs(20 * 60_000);
    simulator.script(OUR_CLOCK);
    expect(await source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
    expect(told).toEqual(['rejected', 'accepted']);
    expect(known.map(({ isClockCorrected }) => isClockCorrected)).toEqual([false, true]);
  });

  it('is not asked while they leave the key alone, and they are asked again after 5 seconds', async () => {
    const { known } = among('locked_out', 'ours');
    expect(await codeOf(PLANTED(1))).toBe('project_left_alone');
    await context.clock.advance(4999);
    expect(await codeOf(PLANTED(1))).toBe('project_left_alone');
    expect([known.length, simulator.count()]).toEqual([1, 0]);
    await context.clock.advance(1);
    expect(await source.get(PLANTED(1))).toBe(DEFAULT_PROJECT.id);
  });
});
