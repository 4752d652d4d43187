import { parseTraceParent } from '@opentelemetry/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { traceIdOf } from '../../src/observability/trace-ids.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';

describe('the trace id of a traceparent', () => {
  // W3C Trace Context, sections 3.2.2 and 4.3.
  it.each([
    [`00-${TRACE_ID}-${SPAN_ID}-01`, TRACE_ID],
    [`00-${TRACE_ID}-${SPAN_ID}-00`, TRACE_ID],
    [`cc-${TRACE_ID}-${SPAN_ID}-01`, TRACE_ID],
    [`cc-${TRACE_ID}-${SPAN_ID}-01-what-comes-later`, TRACE_ID],
    [`cc-${TRACE_ID}-${SPAN_ID}-01.more`, undefined],
    [`00-${TRACE_ID}-${SPAN_ID}-01-more`, undefined],
    [`ff-${TRACE_ID}-${SPAN_ID}-01`, undefined],
    [`00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`, undefined],
    [`00-${'0'.repeat(32)}-${SPAN_ID}-01`, undefined],
    [`00-${TRACE_ID}-${'0'.repeat(16)}-01`, undefined],
    [`00-${TRACE_ID}-${SPAN_ID}-1`, undefined],
    [`00-${TRACE_ID}-${SPAN_ID}`, undefined],
    ['', undefined],
    [null, undefined],
    [undefined, undefined],
  ])('%s is %s', (traceparent, traceId) => {
    expect(traceIdOf(traceparent)).toBe(traceId);
  });

  it('is the one that OpenTelemetry reads', () => {
    const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-fA-F]{${digits}}$`));
    const likely = fc
      .tuple(
        fc.constantFrom('00', '01', 'ff', '0'),
        fc.oneof(hex(32), fc.constant('0'.repeat(32)), fc.constant(TRACE_ID)),
        fc.oneof(hex(16), fc.constant('0'.repeat(16)), fc.constant(SPAN_ID)),
        fc.constantFrom('00', '01', 'ff', '1', '001'),
        fc.constantFrom('', '-', '-x', 'x'),
      )
      .map(([version, traceId, spanId, flags, rest]) => `${version}-${traceId}-${spanId}-${flags}${rest}`);
    fc.assert(
      fc.property(likely, (traceparent) => {
        expect(traceIdOf(traceparent)).toBe(parseTraceParent(traceparent)?.traceId);
      }),
      { numRuns: 2000 },
    );
  });
});
