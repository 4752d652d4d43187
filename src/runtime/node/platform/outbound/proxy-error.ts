/**
 * There is no connection, and a proxy is the reason. The code is a fixed word of ours and all that is logged; the proxy's
 * own words are not read, and no error holds its URL.
 *
 * - `proxy_unreachable`: no connection to the proxy came about; the cause says why.
 * - `proxy_timeout`: the proxy did not answer within the connect timeout.
 * - `proxy_authentication_required`: it answered 407: user name and password are missing or wrong.
 * - `proxy_status_<number>`: it answered CONNECT with another status than 2xx.
 * - `proxy_no_answer`: it closed the connection before it answered, or what came is not HTTP.
 */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  readonly code: string;

  constructor(code: string, options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}
