import { type App, createApp } from '../app.ts';
import { ConfigError, parseConfig } from '../config/config.ts';
import { ProblemError, problemResponse } from '../http/problem.ts';
import { createConsoleLogger } from './worker/logger.ts';
import { createWorkerPlatform } from './worker/platform.ts';

type Bindings = Readonly<Record<string, unknown>>;

/**
 * The app of this isolate. It is made by the first request, since bindings may be read then only, and kept, as other
 * bindings come with other isolates: it holds values and never a promise that another request would wait for.
 */
let isolateFetch: App['fetch'] | undefined;

function createIsolateApp(bindings: Bindings): App['fetch'] {
  const config = parseConfig(bindings);
  const { credentials } = config.target;
  if (!['static', 'oidc', 'token'].includes(credentials.source)) {
    throw new ConfigError([
      {
        setting: 'HUAWEICLOUD_CREDENTIALS',
        fault: `cannot be ${credentials.source} on Workers; set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK`,
      },
    ]);
  }
  if (credentials.source === 'oidc' && 'file' in credentials.token) {
    throw new ConfigError([
      {
        setting: 'HUAWEICLOUD_OIDC_TOKEN_FILE',
        fault: 'is not for Workers, which have no files; bind HUAWEICLOUD_OIDC_ID_TOKEN',
      },
    ]);
  }
  if (credentials.source === 'token' && credentials.file !== undefined) {
    throw new ConfigError([
      {
        setting: 'CCE_AUTH_TOKEN_FILE',
        fault: 'is not for Workers, which have no files; bind CCE_AUTH_TOKEN',
      },
    ]);
  }
  if (
    credentials.source === 'static' &&
    Object.values(credentials.files).some((path) => path !== undefined)
  ) {
    throw new ConfigError([
      { setting: 'HUAWEICLOUD_SDK_SK_FILE', fault: 'is not for Workers, which have no files' },
    ]);
  }
  if (config.sharedStore !== undefined) {
    throw new ConfigError([
      { setting: 'REDIS_URL', fault: 'is not for Workers; bind a KV namespace as IMAGECACHES_KV instead' },
    ]);
  }
  return createApp(config, createWorkerPlatform(config, bindings), () => 'serving').fetch;
}

/** A Worker cannot refuse to start: every request is answered 500, and the log says what is wrong, without a value. */
function misconfigured(error: ConfigError): Response {
  createConsoleLogger('error', Date.now).error({ faults: error.faults }, 'the configuration has faults');
  return problemResponse(new ProblemError('internal', { reason: 'configuration' }), crypto.randomUUID());
}

export default {
  fetch(request: Request, bindings: Bindings, context: unknown): Promise<Response> | Response {
    try {
      isolateFetch ??= createIsolateApp(bindings);
      return isolateFetch(request, bindings, context as never);
    } catch (error) {
      if (error instanceof ConfigError) return misconfigured(error);
      throw error;
    }
  },
};
