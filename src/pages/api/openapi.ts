import { Hono } from 'hono';
import { etagOf } from '../../cache/cached-response.ts';
import type { Config } from '../../config/config.ts';
import { answer } from '../../http/answer.ts';
import type { AppEnv } from '../../http/env.ts';
import { matchesEtag } from '../../http/etag.ts';
import document from './openapi.json' with { type: 'json' };

type Members = Readonly<Record<string, object>>;

interface ApiDocument {
  readonly paths: Members;
  readonly components: Readonly<Record<'schemas' | 'parameters' | 'securitySchemes', Members>>;
}

interface PathItem {
  readonly [method: string]: { readonly security?: readonly object[] } & object;
}

/** The document without what this configuration does not serve. */
export function documentFor({ sdkClients, publicUrl }: Pick<Config, 'sdkClients' | 'publicUrl'>): object {
  let { paths, components }: ApiDocument = document;
  if (publicUrl === undefined) {
    paths = without(paths, '/.well-known/oauth-protected-resource');
    components = { ...components, schemas: without(components.schemas, 'ProtectedResource') };
  }
  if (sdkClients === undefined) {
    paths = Object.fromEntries(Object.entries(paths).map(([path, item]) => [path, withoutSignature(item)]));
    components = { ...components, securitySchemes: without(components.securitySchemes, 'signature') };
  }
  return { ...document, paths, components };
}

function without(members: Members, name: string): Members {
  return Object.fromEntries(Object.entries(members).filter(([member]) => member !== name));
}

function withoutSignature(item: object): PathItem {
  return Object.fromEntries(
    Object.entries(item as PathItem).map(([method, { security = [], ...operation }]) => [
      method,
      { ...operation, security: security.filter((scheme) => !('signature' in scheme)) },
    ]),
  );
}

/** `GET /openapi.json`: OpenAPI 3.1 of what this service answers, for anyone. */
export function openApi(config: Pick<Config, 'sdkClients' | 'publicUrl'>): Hono<AppEnv> {
  /** Made by the first request, and kept as a value: a promise would belong to that request. */
  let made: { readonly body: Uint8Array<ArrayBuffer>; readonly etag: string } | undefined;
  return new Hono<AppEnv>().get('/openapi.json', async (c) => {
    if (made === undefined) {
      const body = new TextEncoder().encode(JSON.stringify(documentFor(config)));
      made = { body, etag: await etagOf(body) };
    }
    const { body, etag } = made;
    const headers = { etag, 'cache-control': 'public, max-age=300' };
    if (matchesEtag(c.req.header('if-none-match') ?? null, etag)) return c.body(null, 304, headers);
    return answer(200, body, { ...headers, 'content-type': 'application/json' });
  });
}
