import type { RuleInput } from '../simulator/behaviours.ts';
import { UPSTREAM_TEXT } from './secrets.ts';

/**
 * What upstream may do to a call in the soak. Refusals of the key are left out, since they are a disturbance of their
 * own, and so are lists of broken entries and objects without a list, which are served as what they hold: nothing.
 */
export const FAULTS: readonly RuleInput[] = [
  { answer: { kind: 'reset', when: 'before-headers' } },
  { answer: { kind: 'reset', when: 'after-headers' } },
  { answer: { kind: 'reset', when: 'mid-body' } },
  { answer: { kind: 'close' } },
  { answer: { kind: 'truncate' } },
  { answer: { kind: 'truncate', framing: 'chunked' } },
  { answer: { kind: 'corrupt', damage: 'invalid-json' } },
  { answer: { kind: 'corrupt', damage: 'invalid-utf8' } },
  { answer: { kind: 'wrong-content-length', differenceBytes: 10 } },
  { answer: { kind: 'wrong-content-length', differenceBytes: -10 } },
  { answer: { kind: 'encode', encoding: 'gzip', cut: true } },
  { answer: { kind: 'encode', encoding: 'gzip', label: 'identity' } },
  { answer: { kind: 'unexpected-body', body: 'html' } },
  { answer: { kind: 'unexpected-body', body: 'null' } },
  { answer: { kind: 'huge', bodyBytes: 10_000_000 } },
  { answer: { kind: 'redirect' } },
  { answer: { kind: 'redirect', location: 'http://127.0.0.1:1/elsewhere' } },
  { answer: { kind: 'hang' } },
  { delayBeforeHeadersMs: 300 },
  { delayBeforeBodyMs: 300 },
  { slowBody: { intervalMs: 5, pieceBytes: 1000 } },
  { earlyHints: true },
  { answer: { kind: 'respond', status: 500, text: UPSTREAM_TEXT } },
  { answer: { kind: 'respond', status: 503, text: UPSTREAM_TEXT } },
  { answer: { kind: 'respond', status: 404, text: UPSTREAM_TEXT } },
  { answer: { kind: 'respond', status: 429, headers: [['Retry-After', '1']], text: UPSTREAM_TEXT } },
  { answer: { kind: 'raw', text: 'not http at all\r\n\r\n' } },
];
