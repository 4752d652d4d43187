import { PROBLEM_KINDS, type ProblemCode } from '../../../http/problem.ts';
import { NO_SUCH_RESOURCE, vendorErrorCode } from '../../../http/vendor-error.ts';
import { type HeaderName, headers, REQUEST_ID } from './headers.ts';
import { type Json, ref } from './json.ts';

/** The shape of errors: this service's, or the one that the vendor's SDKs read. */
export type ErrorForm = 'problem' | 'vendor';

const HEADERS_OF_STATUS: Readonly<Record<number, readonly HeaderName[]>> = {
  401: ['WWW-Authenticate'],
  403: ['WWW-Authenticate'],
  429: ['Retry-After', 'RateLimit', 'RateLimit-Policy'],
  503: ['Retry-After'],
};
const DETAILS: Readonly<Partial<Record<ProblemCode, string>>> = {
  invalid_query: "unknown parameter 'page'; only 'name' is allowed",
  forbidden: "the token lacks the scope 'imagecaches:read'",
  not_found: 'no image cache has this id',
  rate_limited: 'more than 600 requests a minute',
};

/** The responses for these codes, by status, with an example for each code. */
export function problemResponses(codes: readonly ProblemCode[], form: ErrorForm): Json {
  const statuses = [...new Set(codes.map((code) => PROBLEM_KINDS[code].status))].sort();
  return Object.fromEntries(
    statuses.map((status) => {
      const ofStatus = codes.filter((code) => PROBLEM_KINDS[code].status === status);
      return [status, problemResponse(status, ofStatus, form)];
    }),
  );
}

function problemResponse(status: number, codes: readonly ProblemCode[], form: ErrorForm): Json {
  return {
    description: codes.map((code) => `\`${code}\`: ${PROBLEM_KINDS[code].title}.`).join(' '),
    headers: headers('X-Request-Id', ...(HEADERS_OF_STATUS[status] ?? [])),
    content: {
      [form === 'problem' ? 'application/problem+json' : 'application/json']: {
        schema: ref('schemas', form === 'problem' ? 'Problem' : 'VendorError'),
        examples: Object.fromEntries(codes.map((code) => [code, { value: EXAMPLES[form](code) }])),
      },
    },
  };
}

const EXAMPLES: Readonly<Record<ErrorForm, (code: ProblemCode) => Json>> = {
  problem: (code) => {
    const { title, status } = PROBLEM_KINDS[code];
    const detail = DETAILS[code];
    return {
      type: `urn:imagecaches-bff:problem:${code}`,
      title,
      status,
      ...(detail === undefined ? {} : { detail }),
      instance: REQUEST_ID,
      code,
    };
  },
  vendor: (code) => {
    const { title } = PROBLEM_KINDS[code];
    const detail = DETAILS[code];
    return {
      error_code: code === 'not_found' ? NO_SUCH_RESOURCE : vendorErrorCode(code),
      error_msg: detail === undefined ? title : `${title}: ${detail}`,
      request_id: REQUEST_ID,
    };
  },
};
