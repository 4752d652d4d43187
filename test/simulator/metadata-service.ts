import { type Answer, jsonAnswer, textAnswer } from './answers.ts';
import { formatExpiry, type TemporaryCredentials } from './temporary-credentials.ts';
import { type HeaderPair, headerValue } from './verify-signature.ts';

export const METADATA_TOKEN_PATH = '/meta-data/latest/api/token';
export const SECURITY_KEY_PATH = '/openstack/latest/securitykey';

const MAX_SESSION_TOKEN_SECONDS = 21_600;

export interface MetadataOptions {
  /** What PUT of a session token answers: a token, or the status of the older, tokenless service. */
  sessionTokens: 'issued' | 404 | 405 | 503;
  /** Lifetime of the key pairs; the vendor's go down to 900. */
  lifetimeSeconds: number;
  /** `expires_at` with six fraction digits or none. */
  expiryFractionDigits: 0 | 6;
}

export const DEFAULT_METADATA_OPTIONS: Readonly<MetadataOptions> = Object.freeze({
  sessionTokens: 'issued',
  lifetimeSeconds: 86_400,
  expiryFractionDigits: 6,
});

/** The metadata service of an ECS or CCE node: every request for the security key issues a new pair. */
export class MetadataService {
  options: MetadataOptions = { ...DEFAULT_METADATA_OPTIONS };
  private readonly credentials: TemporaryCredentials;
  private readonly sessionTokens = new Map<string, number>();
  private issuedTokens = 0;

  constructor(credentials: TemporaryCredentials) {
    this.credentials = credentials;
  }

  /** After this every session token is answered 401 until the client asks for a new one. */
  invalidateSessionTokens(): void {
    this.sessionTokens.clear();
  }

  answerToken(headers: readonly HeaderPair[], nowMs: number): Answer {
    const { sessionTokens } = this.options;
    if (sessionTokens !== 'issued') return textAnswer(sessionTokens, 'text/html', '<html>not served</html>');
    const seconds = Number(headerValue(headers, 'x-metadata-token-ttl-seconds') ?? Number.NaN);
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_SESSION_TOKEN_SECONDS) {
      return textAnswer(400, 'text/plain', 'X-Metadata-Token-Ttl-Seconds must be from 1 to 21600');
    }
    this.issuedTokens += 1;
    const token = `simulator-metadata-token-${String(this.issuedTokens).padStart(6, '0')}`;
    this.sessionTokens.set(token, nowMs + seconds * 1000);
    return textAnswer(200, 'text/plain', token);
  }

  answerSecurityKey(headers: readonly HeaderPair[], nowMs: number): Answer {
    if (this.options.sessionTokens === 'issued') {
      const token = headerValue(headers, 'x-metadata-token') ?? '';
      if (nowMs >= (this.sessionTokens.get(token) ?? 0)) return textAnswer(401, 'text/plain', 'Unauthorized');
    }
    const key = this.credentials.issue(nowMs, this.options.lifetimeSeconds);
    return jsonAnswer(200, {
      credential: {
        access: key.accessKeyId,
        secret: key.secretAccessKey,
        securitytoken: key.securityToken,
        expires_at: formatExpiry(key.expiresAtMs, this.options.expiryFractionDigits),
      },
    });
  }
}
