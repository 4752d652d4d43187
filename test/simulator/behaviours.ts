import { z } from 'zod';

/** Names of the refusals that the vendor is known to answer; see refusals.ts for what each looks like. */
export const REFUSALS = [
  'missing-authorization',
  'unknown-key',
  'bad-signature',
  'clock',
  'locked',
  'forbidden',
  'cce-forbidden',
  'iam-unauthorized',
  'not-found',
  'throttled',
  'internal',
  'bad-gateway-html',
  'unavailable',
  'gateway-timeout',
  'kubernetes',
  'nested-details',
  'message-only',
  'empty',
] as const;

export type RefusalName = (typeof REFUSALS)[number];

const milliseconds = z.number().int().min(0).max(3_600_000);
const bytes = z.number().int().min(0).max(2_000_000_000);
const headerPairs = z.array(z.tuple([z.string().min(1), z.string()]));
const gateName = z.string().min(1).max(100);
const encoding = z.enum(['gzip', 'br', 'deflate', 'identity']);

const answerSchema = z.discriminatedUnion('kind', [
  /** What the endpoint would answer. */
  z.strictObject({ kind: z.literal('normal') }),
  /** Any answer: at most one of json, text and base64. */
  z
    .strictObject({
      kind: z.literal('respond'),
      status: z.number().int().min(200).max(599).default(200),
      headers: headerPairs.default([]),
      json: z.unknown().optional(),
      text: z.string().optional(),
      base64: z.base64().optional(),
    })
    .refine((answer) => ['json', 'text', 'base64'].filter((key) => Object.hasOwn(answer, key)).length <= 1, {
      error: 'give only one of json, text and base64',
    }),
  /** An error in one of the vendor's shapes, without any check having failed. Does not count for the lockout. */
  z.strictObject({
    kind: z.literal('refuse'),
    error: z.enum(REFUSALS),
    /** Instead of the status that this refusal has. */
    status: z.number().int().min(400).max(599).optional(),
    /** Retry-After: a number of seconds, or an HTTP date that many seconds ahead of the simulator's clock. */
    retryAfterSeconds: z.number().int().optional(),
    retryAfterForm: z.enum(['seconds', 'date']).default('seconds'),
  }),
  /** Resets the connection (RST). */
  z.strictObject({
    kind: z.literal('reset'),
    when: z.enum(['before-headers', 'after-headers', 'mid-body']).default('before-headers'),
  }),
  /** Closes the connection (FIN) without any answer. */
  z.strictObject({ kind: z.literal('close') }),
  /** The normal answer, cut in the middle of the body, then the connection is closed. */
  z.strictObject({
    kind: z.literal('truncate'),
    framing: z.enum(['content-length', 'chunked']).default('content-length'),
    keepBytes: bytes.optional(),
  }),
  /** The normal answer, damaged. */
  z.strictObject({ kind: z.literal('corrupt'), damage: z.enum(['invalid-json', 'invalid-utf8']) }),
  /** The normal answer with a Content-Length that is off by so many bytes; the connection stays open. */
  z.strictObject({ kind: z.literal('wrong-content-length'), differenceBytes: z.number().int() }),
  /** The normal answer, encoded. `label` is the Content-Encoding sent, null for none; default: the truth. */
  z.strictObject({
    kind: z.literal('encode'),
    encoding,
    label: z.string().nullable().optional(),
    /** Sends only the first half of the encoded bytes, with a matching Content-Length. */
    cut: z.boolean().default(false),
  }),
  /** 200 with something that is no image cache list. */
  z.strictObject({
    kind: z.literal('unexpected-body'),
    body: z.enum(['html', 'empty', 'empty-object', 'null', 'array', 'string', 'null-list', 'object-list']),
  }),
  /** 200 with JSON nested so many levels. */
  z.strictObject({
    kind: z.literal('deep'),
    levels: z.number().int().min(1).max(10_000_000).default(100_000),
  }),
  /** 200 with valid JSON of so many bytes, streamed. */
  z.strictObject({
    kind: z.literal('huge'),
    bodyBytes: bytes,
    framing: z.enum(['content-length', 'chunked']).default('chunked'),
  }),
  /** 200 with gzip that unpacks to valid JSON of so many bytes. */
  z.strictObject({ kind: z.literal('gzip-bomb'), unpackedBytes: bytes }),
  /** A redirect; `location` null sends the client to the same URL again. */
  z.strictObject({
    kind: z.literal('redirect'),
    status: z
      .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
      .default(302),
    location: z.string().nullable().default(null),
  }),
  /** Never answers. */
  z.strictObject({ kind: z.literal('hang') }),
  /** Any bytes, then the connection is closed, unless `keepOpen`. */
  z.strictObject({ kind: z.literal('raw'), text: z.string(), keepOpen: z.boolean().default(false) }),
]);

export const ruleSchema = z.strictObject({
  /** Which requests; absent: all. */
  match: z
    .strictObject({
      method: z.string().optional(),
      path: z.string().startsWith('/').optional(),
      /** The `name` parameter; null: requests without one. */
      name: z.string().nullable().optional(),
      /** Whether an earlier request came over the same connection. */
      reusedSocket: z.boolean().optional(),
    })
    .default({}),
  /** For how many matching requests. */
  times: z.union([z.number().int().min(1), z.literal('always')]).default(1),
  /** Whether the signature is checked first; a refused request does not use the rule up. */
  verify: z.boolean().default(true),
  /** Holds the request until this gate is released. */
  gate: gateName.optional(),
  gateAt: z.enum(['before-headers', 'before-body']).default('before-headers'),
  delayBeforeHeadersMs: milliseconds.default(0),
  delayBeforeBodyMs: milliseconds.default(0),
  /** Sends the head byte by byte; the connection is closed after the answer. */
  slowHeaders: z.strictObject({ intervalMs: milliseconds }).optional(),
  /** Sends the body in small pieces. */
  slowBody: z.strictObject({ intervalMs: milliseconds, pieceBytes: bytes.min(1).default(1) }).optional(),
  /** Sends 103 Early Hints before the answer. */
  earlyHints: z.boolean().default(false),
  /** Header lines added to the answer, repetitions included. */
  extraHeaders: headerPairs.default([]),
  /** Names of headers that the gateway sends on every answer, left out here. */
  omitHeaders: z.array(z.string().min(1)).default([]),
  /** Instead of the simulator's time: any text, or null for no Date header. */
  dateHeader: z.string().nullable().optional(),
  answer: answerSchema.default({ kind: 'normal' }),
});

/** What a test writes. */
export type RuleInput = z.input<typeof ruleSchema>;
export type Rule = z.output<typeof ruleSchema>;
export type AnswerBehaviour = Rule['answer'];

export const NORMAL_RULE: Rule = ruleSchema.parse({});

/** Reads a rule, or throws an error that names each bad member. */
export function parseRule(input: unknown): Rule {
  const parsed = ruleSchema.safeParse(input);
  if (!parsed.success) throw new Error(`bad rule: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
