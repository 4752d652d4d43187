import { type Env, Hono } from 'hono';
import type { Logger } from '../observability/logger.ts';
import type { AppEnv } from './env.ts';
import { answerErrors, throwErrorsOnly } from './on-error.ts';
import { vendorErrorResponse } from './vendor-error.ts';

/** What the answers to the vendor's clients depend on, beside Authorization. */
export const VENDOR_VARY = 'X-Auth-Token';

/** A room whose errors have the vendor's shape, for programs written for its SDKs. */
export function vendorShaped<RoomEnv extends Env>(room: Hono<RoomEnv>, logger: Logger): Hono<AppEnv> {
  const shaped = new Hono<AppEnv>();
  shaped.onError(answerErrors(logger, vendorErrorResponse));
  shaped.use(async (c, next) => {
    await next();
    c.res.headers.set('vary', `${c.res.headers.get('vary') ?? 'Authorization'}, ${VENDOR_VARY}`);
  }, throwErrorsOnly());
  shaped.route('/', room);
  return shaped;
}
