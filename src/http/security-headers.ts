import { secureHeaders } from 'hono/secure-headers';

/**
 * On every answer: nothing here is a page, and no browser should take it for one, run it or show it in a frame
 * (OWASP Secure Headers Project, for APIs). Strict-Transport-Security is for a proxy that ends TLS:
 * it holds for every port of a host, that of metrics included.
 */
export const SECURITY_HEADERS = Object.freeze({
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
});

/** Sets SECURITY_HEADERS, and no other of Hono's defaults. An answer that has one of them already, as pages have, keeps it. */
export const securityHeaders = () =>
  secureHeaders({
    contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    referrerPolicy: 'no-referrer',
    xContentTypeOptions: true,
    overwrite: false,
    crossOriginEmbedderPolicy: false,
    crossOriginResourcePolicy: false,
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    strictTransportSecurity: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
    removePoweredBy: false,
    permissionsPolicy: {},
  });
