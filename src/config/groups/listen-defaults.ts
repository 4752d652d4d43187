/**
 * Where the service listens unless HOST, PORT and METRICS_PORT say otherwise. The rows' defaults, in a file that loads
 * nothing: the health check starts every few seconds, and reading the forms would take longer than all else that it does.
 */
export const DEFAULT_HOST = '127.0.0.1';
export const DEFAULT_PORT = 8080;
export const DEFAULT_METRICS_PORT = 9090;
