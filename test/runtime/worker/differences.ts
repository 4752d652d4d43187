import type { Expected } from '../../faults/fault-table.ts';

/** Which tests of the core do not run inside workerd, and why. This is the only place that says so. */
export const DIFFERENCES: readonly { readonly tests: RegExp; readonly because: string }[] = [
  {
    tests:
      /an hour at 500 requests a second|keeps a hot key from ever being stale|third refusal in 5 minutes/,
    because: 'millions of steps of a fake clock take minutes there; what they test does no I/O',
  },
  {
    tests: /\b(?:PS|ES)(?:256|384|512)K?\b|\bPSS\b|\bEC\b|P-384|a padded signature of 64 bytes/,
    because:
      "the attack suite signs with node:crypto, which has no PSS and no raw ECDSA signatures in workerd's form",
  },
  { tests: /MADEUP/, because: 'a Request with a method of no standard cannot be made there' },
  {
    tests: /no guard is passed that should have held/,
    because: 'its model of what is sent when counts turns of the event loop, and signing takes others there',
  },
];

/** Faults of upstream (test/faults/fault-table.ts) that end otherwise in workerd, by name, and why. */
export const FAULT_DIFFERENCES: Readonly<
  Record<string, { readonly expected: Expected; readonly because: string }>
> = {
  deflate: {
    expected: { status: 502, code: 'upstream_failed', calls: 2 },
    because: 'workerd decodes gzip and brotli, which are what its Accept-Encoding asks for',
  },
};

/**
 * Folders of the core whose tests run on Node only, or but for some of their files.
 *
 * - test/config: a Worker has stubs for the settings of Node. parse-bindings.workers-test.ts tests the bindings.
 * - test/credentials: files, metadata service and pod identity are not in a Worker; what is left runs there.
 * - test/app/hits.test.ts: two Node servers. hits.workers-test.ts compares both ways in workerd.
 * - test/app/two-targets.test.ts: it reads the metrics of Node.
 * - test/faults: the stand-in is a Node server. faults.test.ts puts the same table to the bundle in workerd, for an isolate
 *   that holds nothing: its clock cannot be moved.
 */
export const FILES_OF_PARTS: readonly string[] = [
  'test/app/rejected-credential.test.ts',
  'test/credentials/{credential-provider,refreshing-provider,security-token,temporary-credential}.test.ts',
];

/** Files whose tools do not exist in workerd. */
export const NODE_ONLY_FILES: readonly { readonly file: string; readonly because: string }[] = [
  { file: 'test/signing/oracle.test.ts', because: "the vendor's signer is a CommonJS package for Node" },
  {
    file: 'test/auth/inbound-signature.test.ts',
    because: "the vendor's signer is a CommonJS package for Node",
  },
  { file: 'test/auth/signed-targets.test.ts', because: 'it sends raw request lines to a Node server' },
  { file: 'test/routes/remembered-codings.test.ts', because: 'Vitest replaces no modules inside workerd' },
  { file: 'test/imagecaches/go-time.test.ts', because: 'it reads a file of the repository' },
  { file: 'test/openapi/made-apart.test.ts', because: 'it reads the files of the repository' },
  { file: 'test/upstream/project-id.test.ts', because: 'it starts the CCE stand-in, which is a Node server' },
];
