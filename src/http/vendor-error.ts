import { jsonAnswer } from './answer.ts';
import { type ProblemCode, type ProblemError, problemTitle } from './problem.ts';

/**
 * What the vendor's gateway calls these (API Gateway, error codes), so that programs written for its SDKs know them;
 * a problem that it has no code for gets one of ours.
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
export function vendorErrorResponse(problem: ProblemError, requestId: string): Response {
  const title = problemTitle(problem.code);
  return jsonAnswer(
    problem.status,
    {
      error_code: VENDOR_CODES[problem.code] ?? `IMAGECACHES.${problem.code}`,
      error_msg: problem.detail === undefined ? title : `${title}: ${problem.detail}`,
      request_id: requestId,
    },
    { 'cache-control': 'no-store', ...problem.headers },
  );
}
