import type { Credential } from './credentials.ts';
const enc = new TextEncoder();
const hex = (b: ArrayBuffer) => Array.from(new Uint8Array(b), (x) => x.toString(16).padStart(2, '0')).join('');
export async function signRequest(request: { method: string; url: URL; headers: Record<string, string> }, credential: Credential, { nowMs }: { nowMs: number }): Promise<{ headers: Record<string, string> }> {
  const date = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z').replace(/[-:]/g, '');
  const send: Record<string, string> = { ...request.headers, 'x-sdk-date': date };
  if (credential.securityToken !== undefined) send['x-security-token'] = credential.securityToken;
  const all: Record<string, string> = { ...send, host: request.url.host };
  const names = Object.keys(all).sort();
  const signed = names.join(';');
  const query = [...request.url.searchParams].map(([k, v]) => `${k}=${v}`).join('&');
  const path = request.url.pathname.endsWith('/') ? request.url.pathname : `${request.url.pathname}/`;
  const canonical = [request.method, path, query, names.map((n) => `${n}:${all[n]}\n`).join(''), signed, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'].join('\n');
  const sts = `SDK-HMAC-SHA256\n${date}\n${hex(await crypto.subtle.digest('SHA-256', enc.encode(canonical)))}`;
  const key = await crypto.subtle.importKey('raw', enc.encode(credential.secretAccessKey), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const signature = hex(await crypto.subtle.sign('HMAC', key, enc.encode(sts)));
  return { headers: { ...send, authorization: `SDK-HMAC-SHA256 Access=${credential.accessKeyId}, SignedHeaders=${signed}, Signature=${signature}` } };
}
