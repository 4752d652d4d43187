import { type Answer, jsonAnswer } from './answers.ts';
import { formatExpiry, type TemporaryCredentials } from './temporary-credentials.ts';
import { type HeaderPair, headerValue } from './verify-signature.ts';

export interface PodIdentityOptions {
  /** The path part of HC_CONTAINER_CREDENTIALS_FULL_URI. */
  path: string;
  /** The content of HC_CONTAINER_AUTHORIZATION_TOKEN_FILE; anything else is answered 401. */
  token: string;
  lifetimeSeconds: number;
  /** `expiration` with six fraction digits or none. */
  expiryFractionDigits: 0 | 6;
}

export const DEFAULT_POD_IDENTITY_OPTIONS: Readonly<PodIdentityOptions> = Object.freeze({
  path: '/v1/credentials',
  token: 'simulator-pod-identity-token',
  lifetimeSeconds: 3600,
  expiryFractionDigits: 6,
});

/** The agent that CCE runs beside pods; shape of the answer from the Java SDK's own test. */
export class PodIdentity {
  options: PodIdentityOptions = { ...DEFAULT_POD_IDENTITY_OPTIONS };
  private readonly credentials: TemporaryCredentials;

  constructor(credentials: TemporaryCredentials) {
    this.credentials = credentials;
  }

  answerCredentials(headers: readonly HeaderPair[], body: Buffer, nowMs: number): Answer {
    if (headerValue(headers, 'authorization') !== this.options.token) {
      return jsonAnswer(401, { error: { code: 401, message: 'invalid service account token' } });
    }
    if (body.toString().trim() !== '{}') {
      return jsonAnswer(400, { error: { code: 400, message: 'the body must be {}' } });
    }
    const key = this.credentials.issue(nowMs, this.options.lifetimeSeconds);
    return jsonAnswer(200, {
      assumedAgency: { urn: 'iam::simulated:agency:imagecaches', id: 'simulated-agency' },
      audience: 'pods.cce.example.com',
      credentials: {
        accessKeyId: key.accessKeyId,
        secretAccessKey: key.secretAccessKey,
        securityToken: key.securityToken,
        expiration: formatExpiry(key.expiresAtMs, this.options.expiryFractionDigits),
      },
      podIdentityAssociationId: 'simulated-association',
      subject: { namespace: 'default', serviceAccount: 'imagecaches-bff' },
    });
  }
}
