import type { Answer } from '../outbound/fetch-answer.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import type { Platform } from '../platform/platform.ts';
import type { KeyPair } from '../signing/credential.ts';
import { parseUpstreamFailure } from '../vendor/read-failure.ts';
import { readTemporaryCredential } from './temporary-credential.ts';

interface Asked {
  /** Wall-clock time before the call. */
  readonly askedAtMs: number;
  readonly durationSeconds: number;
}

/**
 * Reads what STS answers. A credential is taken to live as long as was asked for, or shorter where STS says so: it must
 * not be used longer where STS, or one of the two clocks, is wrong.
 *
 * @throws OutboundError `status_<number>` or `not_the_model`
 */
export function readStsAnswer(
  { status, headers, text }: Answer,
  { askedAtMs, durationSeconds }: Asked,
  { now, logger }: Pick<Platform, 'now' | 'logger'>,
): KeyPair {
  if (status !== 200 && status !== 201) {
    const { vendorCode, vendorRequestId } = parseUpstreamFailure(status, headers, text, now());
    logger.warn({ status, vendorCode, vendorRequestId }, 'STS gives no credential');
    throw new OutboundError(`status_${status}`);
  }
  const credential = readTemporaryCredential(text);
  const latestMs = askedAtMs + durationSeconds * 1000;
  return { ...credential, expiresAtMs: Math.min(credential.expiresAtMs ?? latestMs, latestMs) };
}
