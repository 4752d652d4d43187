import { type Env, Hono } from 'hono';
import type { Logger } from '../observability/logger.ts';
import type { AppEnv } from './env.ts';
import { answerErrors, throwErrorsOnly } from './on-error.ts';
import { vendorErrorResponse } from './vendor-error.ts';

/** A room whose errors have the vendor's shape, for programs written for its SDKs. */
export function vendorShaped<RoomEnv extends Env>(room: Hono<RoomEnv>, logger: Logger): Hono<AppEnv> {
  const shaped = new Hono<AppEnv>();
  shaped.onError(answerErrors(logger, vendorErrorResponse));
  shaped.use(throwErrorsOnly());
  shaped.route('/', room);
  return shaped;
}
