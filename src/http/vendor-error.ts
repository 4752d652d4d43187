import { type ProblemCode, type ProblemError, problemTitle } from './problem.ts';
import type { Answer } from './route.ts';
import { SECURITY_HEADERS } from './security-headers.ts';

/**
 * What the vendor's gateway calls these (API Gateway, error codes), so that programs written for its SDKs know them;
 * whatever it has no code for gets one of ours.
 */
const VENDOR_CODES: Readonly<Partial<Record<ProblemCode, string>>> = {
  unauthenticated: 'APIGW.0301',
  forbidden: 'APIGW.0302',
  rate_limited: 'APIGW.0308',
};

/**
 * A problem in the vendor's shape: its SDKs read `error_code`, `error_msg` and the header X-Request-Id into their
 * exceptions (huaweicloud-sdk-go-v3, core/sdkerr/errors.go).
 */
export function vendorErrorAnswer(problem: ProblemError, requestId: string): Answer {
  const title = problemTitle(problem.code);
  const body = JSON.stringify({
    error_code: VENDOR_CODES[problem.code] ?? `IMAGECACHES.${problem.code}`,
    error_msg: problem.detail === undefined ? title : `${title}: ${problem.detail}`,
    request_id: requestId,
  });
  return {
    body,
    status: problem.status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...SECURITY_HEADERS,
      ...problem.headers,
    },
    requestId,
  };
}
