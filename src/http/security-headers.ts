/**
 * On every answer: nothing here is a page, and no browser should take it for one, run it or show it in a frame
 * (OWASP Secure Headers Project, for APIs). Strict-Transport-Security is for whoever ends TLS.
 */
export const SECURITY_HEADERS = Object.freeze({
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
});
