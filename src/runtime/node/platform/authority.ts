/** A host as it stands in a URL: an IPv6 address has brackets. With a port, the authority of the URL. */
export function authority(host: string, port?: number): string {
  const bracketed = host.includes(':') ? `[${host}]` : host;
  return port === undefined ? bracketed : `${bracketed}:${port}`;
}
