import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

interface Content {
  readonly schema: object;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}
interface DocumentedResponse {
  readonly headers?: Readonly<Record<string, { readonly $ref: string }>>;
  readonly content?: Readonly<Record<string, Content>>;
}
interface Operation {
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
}
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly headers: Readonly<Record<string, { readonly schema: object }>>;
    readonly securitySchemes: object;
  };
}

/** Headers that every answer may have, or that say nothing of this API. */
const COMMON_HEADERS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'content-security-policy',
  'referrer-policy',
  'x-content-type-options',
  'vary',
  'cache-control',
]);

export interface Documented {
  /** Every answer there is: method, path and status. */
  readonly all: ReadonlySet<string>;
  /** What is wrong with this answer by the document: nothing, when it is documented. */
  readonly faultsOf: (method: string, path: string, response: Response) => Promise<string[]>;
  /** Examples that their own schema refuses. */
  readonly badExamples: () => string[];
}

/** Reads the document as a strict client would. */
export function createDocumented(document: ApiDocument): Documented {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  (addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
  ajv.addSchema({ $id: 'document', components: document.components });
  const compiled = new Map<object, ValidateFunction>();
  const validatorOf = (schema: object): ValidateFunction => {
    const known = compiled.get(schema);
    if (known !== undefined) return known;
    const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as object;
    const validate = ajv.compile(absolute);
    compiled.set(schema, validate);
    return validate;
  };
  const says = (schema: object, value: unknown): string[] => {
    const validate = validatorOf(schema);
    return validate(value) ? [] : [ajv.errorsText(validate.errors)];
  };
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );

  function headerFaults(documented: DocumentedResponse, response: Response): string[] {
    const faults: string[] = [];
    const names = new Map(Object.keys(documented.headers ?? {}).map((name) => [name.toLowerCase(), name]));
    for (const name of response.headers.keys())
      if (!COMMON_HEADERS.has(name) && !names.has(name)) faults.push(`the header ${name}`);
    for (const [lower, name] of names) {
      const value = response.headers.get(lower);
      const { $ref = '' } = documented.headers?.[name] ?? {};
      const { schema } = document.components.headers[$ref.split('/').at(-1) as string] as { schema: object };
      faults.push(...(value === null ? [`no header ${name}`] : says(schema, value)));
    }
    return faults;
  }

  return {
    all: new Set(
      operations.flatMap(({ method, path, operation }) =>
        Object.keys(operation.responses).map((status) => `${method} ${path} ${status}`),
      ),
    ),
    async faultsOf(method, path, response) {
      const operation = operations.find(
        (candidate) => candidate.method === method && candidate.path === path,
      );
      const documented = operation?.operation.responses[response.status];
      if (documented === undefined)
        return [`${method} ${path} is not documented to answer ${response.status}`];
      const faults = headerFaults(documented, response);
      const text = await response.text();
      if (documented.content === undefined) return text === '' ? faults : [...faults, 'a body'];
      const type = response.headers.get('content-type') ?? '';
      const content = documented.content[type];
      if (content === undefined) return [...faults, `the content type ${type}`];
      return [...faults, ...says(content.schema, JSON.parse(text))];
    },
    badExamples: () =>
      operations.flatMap(({ method, path, operation }) =>
        Object.entries(operation.responses).flatMap(([status, { content = {} }]) =>
          Object.values(content).flatMap(({ schema, example, examples = {} }) =>
            [
              ...(example === undefined ? [] : [example]),
              ...Object.values(examples).map(({ value }) => value),
            ]
              .flatMap((value) => says(schema, value))
              .map((fault) => `${method} ${path} ${status}: ${fault}`),
          ),
        ),
      ),
  };
}
