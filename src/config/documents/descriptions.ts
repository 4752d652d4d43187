import { SECURE_URL_RULE } from '../urls.ts';

/**
 * What each member of the documents means, for the JSON Schemas that editors use. No part of the service imports this file,
 * so that the Worker does not carry its sentences.
 */
export const DESCRIPTIONS: Readonly<Record<string, string>> = {
  issuer: `The claim iss of its tokens: ${SECURE_URL_RULE}.`,
  audiences: 'One of them must be in the claim aud of a token, or in the one that audienceClaim names.',
  audienceClaim:
    'The claim that is looked at in place of aud, for issuers whose access tokens have none: client_id.',
  jwksUrl: "Its keys; without it and jwksFile from the issuer's OpenID configuration.",
  jwksFile: 'The path of a JWKS file.',
  requiredScopes: 'A token needs all of them. Empty only together with allowedSubjects.',
  scopeClaims:
    'Claims that hold scopes, as a string with spaces or as an array; a name, or a path with dots.',
  allowedSubjects: 'Who may come: the claim sub, exact or with a trailing *.',
  $schema: 'For editors.',
  accessKeyId: 'What the SDK calls AK: 8 to 128 letters, digits, - and _.',
  secretAccessKey: 'What the SDK calls SK: 32 to 256 visible characters, from a random source.',
  subject: 'Who calls: 1 to 256 characters, for the log and the limits.',
  scopes: 'Without it the scope that AUTH_SCOPE names.',
  expiresAt: 'RFC 3339; without it the key does not expire.',
};
