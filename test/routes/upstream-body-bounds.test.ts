import { describe, expect, it } from 'vitest';
import { createTestService, vendorEntry } from '../support/test-service.ts';

/** The most that is taken of a list: 8 MiB. */
const MAX_BODY_BYTES = 8_388_608;
/** The most that is read of an error: 64 KiB. */
const MAX_ERROR_BODY_BYTES = 65_536;
/** Of entries that break the model so many are named in the log. */
const MAX_LOGGED_DROPS = 20;

/** A body of just so many bytes: white space at the end of JSON means nothing. */
function bodyOf(value: unknown, bytes: number): string {
  return JSON.stringify(value).padEnd(bytes);
}

describe('of what upstream sends', () => {
  it.each([
    ['8 MiB are taken', MAX_BODY_BYTES, 200, 1],
    ['a byte more is a fault, which is not tried again', MAX_BODY_BYTES + 1, 502, 1],
  ])('as a list %s', async (_what, bytes, status, calls) => {
    const service = await createTestService();
    service.upstream = () => new Response(bodyOf({ image_caches: [vendorEntry()] }, bytes));
    expect((await service.get('/imagecaches')).status).toBe(status);
    expect(service.calls).toHaveLength(calls);
    const reasons = service.logger.lines.flatMap(({ fields }) => fields.reason ?? []);
    expect(new Set(reasons)).toEqual(new Set(status === 200 ? [] : ['body_too_large']));
  });

  it.each([
    ['64 KiB are read', MAX_ERROR_BODY_BYTES, 'CCE.01403001'],
    ['nothing when it is longer', MAX_ERROR_BODY_BYTES + 1, undefined],
  ])('as an error %s, and its status counts in any case', async (_what, bytes, vendorCode) => {
    const service = await createTestService();
    service.upstream = () => new Response(bodyOf({ errorCode: 'CCE.01403001' }, bytes), { status: 403 });
    const response = await service.get('/imagecaches');
    expect(await response.json()).toMatchObject({ code: 'upstream_rejected', status: 502 });
    const calls = service.logger.lines.filter(({ message }) => message === 'upstream call');
    expect(calls).toMatchObject([{ fields: { status: 403, vendorCode } }]);
  });

  it('the first 20 entries that break the model are named in the log, and all are counted', async () => {
    const service = await createTestService();
    service.upstream = () => Response.json({ image_caches: [vendorEntry(), ...Array(30).fill('broken')] });
    expect((await service.get('/imagecaches')).status).toBe(200);
    const line = service.logger.lines.find(({ message }) => message.includes('dropped'));
    expect(line?.fields.dropped).toBe(30);
    expect(line?.fields.first).toHaveLength(MAX_LOGGED_DROPS);
    expect(line?.fields.first).toMatchObject([{ index: 1 }, ...Array(MAX_LOGGED_DROPS - 1).fill({})]);
  });
});
