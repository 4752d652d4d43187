import { Hono } from 'hono';
import type * as ofNode from '../../pages/of-node.ts';

/** In place of the console, whose files a Worker does not have. */
export const consolePage: typeof ofNode.consolePage = () => new Hono();
