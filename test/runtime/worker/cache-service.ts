/**
 * A Worker that keeps what others put into the Cache API, in its memory: workerd sends it GET for match, PUT with a whole
 * HTTP response for put, and PURGE for delete. Lifetimes are not heeded. It prints what it keeps.
 */
export const CACHE_SERVICE = `const kept = new Map();
export default {
  async fetch(request) {
    const key = request.headers.get('cf-cache-namespace') + ' ' + request.url;
    if (request.method === 'PUT') {
      kept.set(key, new Uint8Array(await request.arrayBuffer()));
      console.log('kept ' + request.url);
      return new Response(null, { status: 204 });
    }
    if (request.method === 'PURGE') return new Response(null, { status: kept.delete(key) ? 200 : 404 });
    const bytes = kept.get(key);
    if (bytes === undefined) return new Response(null, { status: 504, headers: { 'cf-cache-status': 'MISS' } });
    const text = new TextDecoder('latin1').decode(bytes);
    const end = text.indexOf('\\r\\n\\r\\n');
    const [status, ...lines] = text.slice(0, end).split('\\r\\n');
    const headers = new Headers({ 'cf-cache-status': 'HIT' });
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).toLowerCase();
      if (name !== 'transfer-encoding') headers.append(name, line.slice(colon + 1).trim());
    }
    return new Response(bytes.subarray(end + 4), { status: Number(status.split(' ')[1]), headers });
  },
};`;
