export type Json = Record<string, unknown>;

/** A reference to a component of the document. */
export function ref(kind: 'schemas' | 'headers' | 'parameters', name: string): Json {
  return { $ref: `#/components/${kind}/${name}` };
}
