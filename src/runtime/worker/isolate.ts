import { type App, createApp } from '../../app.ts';
import { type Config, ConfigError } from '../../config/config.ts';
import { ProblemError, problemResponse } from '../../http/problem.ts';
import { requestIdFor } from '../../http/request-id.ts';
import { createConsoleLogger } from './logger.ts';
import { type Bindings, findUnusedBindings, parseBindings } from './parse-bindings.ts';
import { createWorkerPlatform } from './platform.ts';

export interface Isolate {
  /** Answers a request with the app of this isolate, or with 503 while there is none. */
  fetch(request: Request, bindings: Bindings, context: unknown): Promise<Response> | Response;
}

/**
 * What an isolate keeps: its app. It is made by the first request, since bindings may be used then only, and kept, as
 * other bindings come with other isolates. It holds values and never a promise that another request would wait for.
 *
 * A Worker cannot refuse to start. With wrong bindings every request is answered 503, and one line of the log says what
 * is wrong, without a value.
 */
export function createIsolate(): Isolate {
  let app: App | undefined;
  let problem: ProblemError | undefined;

  function open(bindings: Bindings): App {
    if (app !== undefined) return app;
    if (problem !== undefined) throw problem;
    const unused = findUnusedBindings(bindings);
    try {
      const config = parseBindings(bindings);
      const platform = createWorkerPlatform(config, bindings);
      if (unused.length > 0) platform.logger.warn({ unused }, 'settings have no effect');
      app = createApp(config, platform, () => 'serving');
      return app;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log('error').error({ faults: error.faults, unused }, 'the configuration has faults');
      problem = unavailable('configuration');
      throw problem;
    }
  }

  return {
    fetch(request, bindings, context) {
      try {
        return open(bindings).fetch(request, bindings, context as never);
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        return problemResponse(error, requestIdFor(request.headers.get('x-request-id')));
      }
    },
  };
}

const log = (level: Config['logLevel']) => createConsoleLogger(level, Date.now);

function unavailable(reason: string): ProblemError {
  return new ProblemError('internal', { status: 503, detail: 'the service is not configured', reason });
}
