import type { HeaderPair } from './verify-signature.ts';

/** What an endpoint wants to say, before a behaviour bends it and it goes on the wire. */
export interface Answer {
  status: number;
  headers: HeaderPair[];
  body: Buffer;
}

/** A JSON answer. */
export function jsonAnswer(status: number, value: unknown, headers: HeaderPair[] = []): Answer {
  return {
    status,
    headers: [['Content-Type', 'application/json;charset=UTF-8'], ...headers],
    body: Buffer.from(JSON.stringify(value)),
  };
}

/** An answer that is no JSON. */
export function textAnswer(status: number, contentType: string, text: string): Answer {
  return { status, headers: [['Content-Type', contentType]], body: Buffer.from(text) };
}

/** The gateway's own error shape. */
export function gatewayError(status: number, code: string, text: string, requestId: string): Answer {
  return jsonAnswer(status, { error_msg: text, error_code: code, request_id: requestId });
}

/** The error shape of CCE behind the gateway. */
export function cceError(status: number, code: string, text: string): Answer {
  return jsonAnswer(status, { errorCode: code, errorMessage: text });
}

/** The error shape of IAM. */
export function iamError(status: number, title: string, text: string): Answer {
  return jsonAnswer(status, { error: { code: status, message: text, title } });
}

/** Answer of the gateway to a path or method that it does not route. */
export function notFoundError(requestId: string): Answer {
  return gatewayError(
    404,
    'APIGW.0101',
    'The API does not exist or has not been published in the environment',
    requestId,
  );
}

/** APIGW.0301 with one of its free texts. */
export function authenticationError(text: string, requestId: string): Answer {
  return gatewayError(401, 'APIGW.0301', `Incorrect IAM authentication information: ${text}`, requestId);
}

/** Headers that the gateway puts on every answer; the last three must never reach a caller of the service. */
export function gatewayHeaders(requestId: string, nowMs: number): HeaderPair[] {
  return [
    ['Date', new Date(nowMs).toUTCString()],
    ['Server', 'api-gateway'],
    ['X-Request-Id', requestId],
    ['Strict-Transport-Security', 'max-age=31536000; includeSubdomains;'],
    ['X-Frame-Options', 'SAMEORIGIN'],
    ['X-Content-Type-Options', 'nosniff'],
    ['X-Download-Options', 'noopen'],
    ['X-XSS-Protection', '1; mode=block;'],
    ['X-Internal-Cluster', 'cce-internal-7.example.com'],
    ['X-Apig-Upstream', '10.247.3.17:20443'],
    ['Set-Cookie', 'HWWAFSESID=simulated-session; path=/'],
  ];
}
