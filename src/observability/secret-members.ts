/** Members that hold a secret wherever they occur: a log line never shows them. */
export const SECRET_MEMBERS = [
  'authorization',
  'cookie',
  'token',
  'accessKeyId',
  'secretAccessKey',
  'securityToken',
  'authToken',
  'x-security-token',
  'x-auth-token',
] as const;

export const CENSOR = '[redacted]';
