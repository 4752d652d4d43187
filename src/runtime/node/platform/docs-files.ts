import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { PageFile } from '../../../platform/page-file.ts';
import type { Platform } from '../../../platform/platform.ts';

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>imagecaches-bff: API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

/** The token that somebody types in stays in the page's memory. */
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#api', deepLinking: true, persistAuthorization: false, validatorUrl: null });
`;

const { resolve } = createRequire(import.meta.url);

/** Swagger UI, from the package that is installed. Files are read when they are asked for first, and kept. */
export function createDocsFiles(): NonNullable<Platform['docsFiles']> {
  return {
    '/docs': textFile(PAGE, 'text/html; charset=utf-8'),
    '/docs/start.js': textFile(START, 'text/javascript; charset=utf-8'),
    '/docs/swagger-ui.css': packageFile('swagger-ui.css', 'text/css; charset=utf-8'),
    '/docs/swagger-ui-bundle.js': packageFile('swagger-ui-bundle.js', 'text/javascript; charset=utf-8'),
  };
}

function textFile(text: string, contentType: string): () => Promise<PageFile> {
  return async () => ({ body: new TextEncoder().encode(text), contentType });
}

function packageFile(name: string, contentType: string): () => Promise<PageFile> {
  let kept: PageFile | undefined;
  return async () => {
    kept ??= { body: new Uint8Array(await readFile(resolve(`swagger-ui-dist/${name}`))), contentType };
    return kept;
  };
}
