import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import { type Metrics, NO_METRICS } from '../../src/observability/metrics.ts';
import { createHttpServer, type HttpServerOptions } from '../../src/runtime/node/server/http-server.ts';
import { createTestService, vendorEntry, vendorList } from './test-service.ts';

const closing: Server[] = [];
afterEach(async () => {
  for (const server of closing.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

export interface Counted {
  readonly route: string;
  readonly method: string;
  readonly status: number;
}

/** The real app behind the real server, with an upstream that answers when it is told to. */
export async function startHttpService(options: Partial<HttpServerOptions> = {}) {
  const counted: Counted[] = [];
  const metrics: Metrics = {
    ...NO_METRICS,
    requestAnswered: (route, method, status) => void counted.push({ route, method, status }),
  };
  const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' }, { metrics });
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  service.upstream = async () => {
    asked.resolve();
    await gate.promise;
    return vendorList(vendorEntry('web-base'));
  };
  const server = createHttpServer(
    service.app,
    { hostname: '127.0.0.1', isDraining: () => false, maxConnections: 100, ...options },
    { logger: service.logger, metrics, elapsed: service.clock.elapsed },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(server);
  const { port } = server.address() as AddressInfo;
  const miss = `GET /imagecaches HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${await service.token()}\r\n`;
  return { service, server, counted, port, miss, asked: asked.promise, answer: gate.resolve };
}

/** A request without its last line. */
export const LIVE = 'GET /livez HTTP/1.1\r\nHost: a\r\n';

/** The status lines and bodies, in the order in which they came. */
export function answersOf(text: string): { status: number; body: string; close: boolean }[] {
  const found = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n') + 4;
    const head = rest.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    found.push({
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
      body: rest.slice(end, end + length),
      close: /^connection: close/im.test(head),
    });
    rest = rest.slice(end + length);
  }
  return found;
}
