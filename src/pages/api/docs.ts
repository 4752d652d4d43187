import type { ScopedHandler } from '../../http/request-scope.ts';
import { SECURITY_HEADERS } from '../../http/security-headers.ts';
import type { PageFile } from '../../platform/page-file.ts';

/** What the page may do: its own scripts and styles, and calls to this very service. Swagger UI sets inline styles. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A page that shows the API document, and its files: nothing comes from another host. */
export function docsHandler(read: () => Promise<PageFile>): ScopedHandler {
  return async (_request, { requestId }) => {
    const { body, contentType } = await read();
    return {
      status: 200,
      body,
      headers: {
        'content-type': contentType,
        'cache-control': 'public, max-age=3600',
        ...SECURITY_HEADERS,
        'content-security-policy': PAGE_POLICY,
      },
      requestId,
    };
  };
}
