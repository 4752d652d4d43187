import { type App, createApp } from '../../app.ts';
import { type Config, ConfigError, type ConfigFault } from '../../config/config.ts';
import { ProblemError, problemResponse, problemValue } from '../../http/problem.ts';
import { requestIdFor } from '../../http/request-id.ts';
import type { ListOrProblem } from '../../imagecaches/list-without-token.ts';
import { answerHit } from './answer-hit.ts';
import { createElapsedTime } from './elapsed-time.ts';
import { createConsoleLogger } from './logger.ts';
import { type Bindings, findUnusedBindings, isListBound, parseBindings } from './parse-bindings.ts';
import { createWorkerPlatform } from './platform.ts';
import { boundLimit, LIMITER_BINDING } from './rate-limiter.ts';
import { schedule } from './schedule.ts';
import {
  findSecretBindings,
  type ReadSecrets,
  readSecretBindings,
  SECRET_TIMEOUT_MS,
  type SecretBindings,
  secretsAsFiles,
} from './secret-bindings.ts';

/** Secrets that could not be read, or were wrong, are asked for again after this time: 5 seconds. */
const RETRY_AFTER_MS = 5000;
/** Polling interval of requests that come while another one asks for the secrets: 5 ms. */
const POLL_MS = 5;
/** A request that has not got the secrets by then was cancelled, and another one asks. */
const ASKING_LEASE_MS = SECRET_TIMEOUT_MS + 500;

export interface Isolate {
  /** Answers a request with the app of this isolate, or with 503 while there is none. */
  fetch(request: Request, bindings: Bindings, context: unknown): Promise<Response> | Response;
  /** The list for another Worker, where SERVICE_BINDING is on. Never rejects: problems are values. */
  list(name: unknown, bindings: Bindings): Promise<ListOrProblem>;
}

/**
 * What an isolate keeps: its app. It is made by the first request, since bindings may be used then only, and kept, as
 * other bindings come with other isolates. It holds values and never a promise that another request would wait for.
 *
 * A Worker cannot refuse to start. With wrong bindings every request is answered 503, and one line of the log says what
 * is wrong, without a value.
 */
export function createIsolate(): Isolate {
  const elapsed = createElapsedTime(Date.now);
  let app: App | undefined;
  let failure: { readonly problem: ProblemError; readonly untilMs: number } | undefined;
  let askingSinceMs = -Infinity;
  let reported: string | undefined;
  let isBound: boolean | undefined;
  let ownHost: string | undefined;

  /** Undefined when it has to be made. */
  function held(): App | undefined {
    if (app === undefined && failure !== undefined && elapsed() < failure.untilMs) throw failure.problem;
    return app;
  }

  function open(bindings: Bindings): App | Promise<App> {
    const made = held();
    if (made !== undefined) return made;
    const secrets = findSecretBindings(bindings);
    return Object.keys(secrets).length === 0 ? make(bindings) : makeWith(secrets, bindings);
  }

  async function makeWith(secrets: SecretBindings, bindings: Bindings): Promise<App> {
    while (elapsed() - askingSinceMs < ASKING_LEASE_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      const made = held();
      if (made !== undefined) return made;
    }
    askingSinceMs = elapsed();
    try {
      return make(bindings, secrets, await readSecretBindings(secrets, { schedule }));
    } finally {
      askingSinceMs = -Infinity;
    }
  }

  function make(bindings: Bindings, secrets?: SecretBindings, read?: ReadSecrets): App {
    const unused = findUnusedBindings(bindings);
    try {
      if (read !== undefined && read.faults.length > 0) throw new ConfigError(read.faults);
      const config = parseBindings({ ...bindings, ...read?.texts }, Object.keys(secrets ?? {}));
      const platform = createWorkerPlatform(config, bindings, () => ownHost);
      if (unused.length > 0) platform.logger.warn({ unused }, 'settings have no effect');
      const files = secrets && read && secretsAsFiles(secrets, read.texts, platform);
      const limit = boundLimit(bindings[LIMITER_BINDING], platform);
      app = createApp(config, { ...platform, ...files, ...limit }, () => 'serving');
      return app;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      report(error.faults, unused);
      const problem = unconfigured(secrets && RETRY_AFTER_MS);
      failure = { problem, untilMs: secrets ? elapsed() + RETRY_AFTER_MS : Infinity };
      throw problem;
    }
  }

  /** The same faults are said once. */
  function report(faults: readonly ConfigFault[], unused: ReturnType<typeof findUnusedBindings>): void {
    const text = JSON.stringify(faults);
    if (text === reported) return;
    reported = text;
    log('error').error({ faults, unused }, 'the configuration has faults');
  }

  return {
    fetch(request, bindings, context) {
      ownHost ??= new URL(request.url).host;
      const answer = (made: App) =>
        answerHit(made.hits, request) ?? made.fetch(request, bindings, context as never);
      const refuse = (error: unknown) => {
        if (!(error instanceof ProblemError)) throw error;
        return problemResponse(error, requestIdFor(request.headers.get('x-request-id')));
      };
      try {
        const opened = open(bindings);
        return opened instanceof Promise ? opened.then(answer).catch(refuse) : answer(opened);
      } catch (error) {
        return refuse(error);
      }
    },
    async list(name, bindings) {
      try {
        const made = await open(bindings);
        isBound ??= isListBound(bindings);
        if (!isBound) throw new ProblemError('forbidden', { detail: 'SERVICE_BINDING is off' });
        return await made.list(name);
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        return problemValue(error, crypto.randomUUID());
      }
    },
  };
}

const log = (level: Config['logLevel']) => createConsoleLogger(level, Date.now);

function unconfigured(retryAfterMs: number | undefined): ProblemError {
  return new ProblemError('internal', {
    status: 503,
    detail: 'the service is not configured',
    reason: 'configuration',
    ...(retryAfterMs !== undefined && { retryAfterSeconds: retryAfterMs / 1000 }),
  });
}
