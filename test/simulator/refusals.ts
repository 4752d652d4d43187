import {
  type Answer,
  authenticationError,
  cceError,
  gatewayError,
  iamError,
  jsonAnswer,
  notFoundError,
  textAnswer,
} from './answers.ts';
import type { RefusalName } from './behaviours.ts';
import {
  badSignatureText,
  clockRefusalText,
  formatSdkDate,
  type HeaderPair,
  headerValue,
  parseAuthorization,
} from './verify-signature.ts';

const SIXTEEN_MINUTES_MS = 16 * 60 * 1000;

interface RefusedRequest {
  method: string;
  path: string;
  headers: readonly HeaderPair[];
  requestId: string;
  nowMs: number;
}

/** What the vendor answers in each kind of refusal, leaks included. */
const REFUSAL_ANSWERS: Record<RefusalName, (request: RefusedRequest) => Answer> = {
  'missing-authorization': ({ requestId }) => authenticationError('x-auth-token not found', requestId),
  'unknown-key': ({ headers, requestId }) =>
    authenticationError(`ak ${accessKeyOf(headers)} not exist`, requestId),
  'bad-signature': ({ method, path, headers, requestId }) => {
    const canonical = `${method}\n${path}/\n\nhost:${headerValue(headers, 'host')}\nx-sdk-date:${dateOf(headers)}\n\nhost;x-sdk-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`;
    return authenticationError(badSignatureText(canonical), requestId);
  },
  clock: ({ requestId, nowMs }) =>
    authenticationError(clockRefusalText(formatSdkDate(nowMs - SIXTEEN_MINUTES_MS), nowMs), requestId),
  locked: ({ requestId }) => authenticationError('AK access failed to reach the limit,forbidden.', requestId),
  forbidden: ({ requestId }) =>
    gatewayError(403, 'APIGW.0302', 'The IAM user is not allowed to access the API.', requestId),
  'cce-forbidden': () =>
    jsonAnswer(403, {
      errorCode: 'CCE.01403001',
      errorMessage: 'Forbidden: user iam-user-0001 is not authorized to perform: cce:imageCache:list',
      encoded_authorization_message: 'XQAAgAD-simulated-encoded-authorization-message',
    }),
  'iam-unauthorized': () =>
    iamError(401, 'Unauthorized', 'The request you have made requires authentication.'),
  'not-found': ({ requestId }) => notFoundError(requestId),
  throttled: ({ requestId }) =>
    gatewayError(
      429,
      'APIGW.0308',
      'The throttling threshold has been reached: policy user over ratelimit',
      requestId,
    ),
  internal: () => cceError(500, 'CCE.01500001', 'Internal error: etcd 10.247.0.12:2379 leader changed'),
  'bad-gateway-html': () =>
    textAnswer(
      502,
      'text/html',
      '<html><head><title>502 Bad Gateway</title></head><body>elb-7</body></html>',
    ),
  unavailable: ({ requestId }) =>
    gatewayError(503, 'APIGW.0106', 'Orchestration error: backend down', requestId),
  'gateway-timeout': ({ requestId }) => gatewayError(504, 'APIGW.0201', 'Backend timeout.', requestId),
  kubernetes: () =>
    jsonAnswer(500, {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      metadata: {},
      errorCode: 500,
      message: 'imagecaches.cce.internal.example.com is forbidden: secret "default/swr-pull-1" not readable',
      reason: 'InternalError',
      code: 500,
    }),
  'nested-details': ({ requestId }) =>
    jsonAnswer(400, {
      error_code: 'CCE.01400002',
      error_msg: 'Bad request',
      request_id: requestId,
      details: [
        { error: { details: [{ code: 'CCE.1', message: { text: 'host 10.247.3.17 rejected it' } }] } },
      ],
    }),
  'message-only': () => jsonAnswer(500, { errorCode: 'CCE.01500002', message: 'Server internal error.' }),
  empty: () => ({ status: 503, headers: [], body: Buffer.alloc(0) }),
};

/** The answer of a scripted refusal. */
export function refusalAnswer(
  behaviour: { error: RefusalName; status?: number | undefined } & {
    retryAfterSeconds?: number | undefined;
    retryAfterForm: 'seconds' | 'date';
  },
  request: RefusedRequest,
): Answer {
  const answer = REFUSAL_ANSWERS[behaviour.error](request);
  const { retryAfterSeconds: seconds } = behaviour;
  const retryAfter =
    behaviour.retryAfterForm === 'date'
      ? new Date(request.nowMs + (seconds ?? 0) * 1000).toUTCString()
      : String(seconds);
  return {
    ...answer,
    status: behaviour.status ?? answer.status,
    headers: seconds === undefined ? answer.headers : [...answer.headers, ['Retry-After', retryAfter]],
  };
}

function accessKeyOf(headers: readonly HeaderPair[]): string {
  return parseAuthorization(headerValue(headers, 'authorization') ?? '')?.accessKeyId ?? 'UNKNOWNACCESSKEY';
}

function dateOf(headers: readonly HeaderPair[]): string {
  return headerValue(headers, 'x-sdk-date') ?? '';
}
