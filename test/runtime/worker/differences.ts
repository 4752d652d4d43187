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
  { file: 'test/upstream/project-id.test.ts', because: 'it starts the CCE stand-in, which is a Node server' },
];
