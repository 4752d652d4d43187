import { jsonAnswer } from './answer.ts';
import { type ProblemCode, type ProblemError, problemTitle } from './problem.ts';

/**
 * What the vendor's gateway calls these (API Gateway, error codes), so that programs written for its SDKs know them;
 * a problem that it has no code for gets one of ours.
 */
const VENDOR_CODES: Readonly<Partial<Record<ProblemCode, string>>> = {
  unauthenticated: 'APIGW.0301',
  forbidden: 'APIGW.0302',
  not_found: 'APIGW.0101',
  rate_limited: 'APIGW.0308',
};

/** What CCE calls a resource that does not exist (CCE API, error codes). */
export const NO_SUCH_RESOURCE = 'CCE.01404001';

/** What a problem is called in the vendor's shape. */
export function vendorErrorCode(code: ProblemCode): string {
  return VENDOR_CODES[code] ?? `IMAGECACHES.${code}`;
}

/**
 * The vendor's interface: every answer there has the vendor's shape, also where nothing is served. API v3 of CCE is below
 * `/api/v3`, and parts of IAM are below `/v3.0`: SDKs that are led here by their environment ask for them too.
 */
const VENDOR_PATH = /^\/(?:v5|v3(?:\.0)?|api\/v3)(?:\/|$)/;

/** Whether a path belongs to the vendor's interface. */
export function isVendorPath(path: string): boolean {
  return VENDOR_PATH.test(path);
}

/**
 * A problem in the vendor's shape: its SDKs read `error_code`, `error_msg` and the header X-Request-Id into their
 * exceptions (huaweicloud-sdk-go-v3, core/sdkerr/errors.go).
 */
export function vendorErrorResponse(problem: ProblemError, requestId: string): Response {
  const title = problemTitle(problem.code);
  return jsonAnswer(
    problem.status,
    {
      error_code: problem.vendorCode ?? vendorErrorCode(problem.code),
      error_msg: problem.detail === undefined ? title : `${title}: ${problem.detail}`,
      request_id: requestId,
    },
    { 'cache-control': 'no-store', ...problem.headers },
  );
}
