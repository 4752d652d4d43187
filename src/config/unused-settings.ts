/** A setting that is set and has no effect. It holds no value. */
export interface UnusedSetting {
  readonly setting: string;
  /** Follows "has no effect:". */
  readonly reason: string;
}

/** What a runtime reads of its environment, besides the rows, and what it does not read of them. */
export interface RuntimeReads {
  /** Names that it reads besides those of the rows. */
  readonly others?: readonly string[];
  /** Why this runtime does not read a variable that others do; undefined where it does. */
  readonly whyUnread?: (name: string, value: unknown) => string | undefined;
}

/** The vendor's and OpenTelemetry's: set for a program like this one, so it should say which it does not read. */
const OF_OTHERS = /^(?:HUAWEICLOUD|OTEL)_/;
/** Names that may be printed. */
const PRINTABLE = /^[\w.-]{1,128}$/;

/**
 * Finds the variables that are set and have no effect: those for which a reason is known, those of the vendor and of
 * OpenTelemetry that are not read, and near misses of names that are. Variables of anybody else are left alone.
 *
 * @param known names that are read
 * @param whyUnused the reason for a name, known or not, if there is one
 */
export function findUnused(
  environment: Readonly<Record<string, unknown>>,
  known: readonly string[],
  whyUnused: (name: string, value: unknown) => string | undefined,
): UnusedSetting[] {
  const isKnown = new Set(known);
  const reasonFor = (name: string, value: unknown) => {
    const reason = whyUnused(name, value);
    if (reason !== undefined || isKnown.has(name)) return reason;
    // A key of a ConfigMap may have dots and hyphens.
    const spelled = name.toUpperCase().replace(/[.-]/g, '_');
    const base = spelled.replace(/_FILE$/, '');
    // HOSTS_FILE and the like are other people's.
    const isOurs = base !== spelled && base.includes('_') && !isKnown.has(base);
    const meant = findMeant(spelled, known) ?? (isOurs ? findMeant(base, known) : undefined);
    if (meant !== undefined) return `did you mean ${meant}?`;
    if (base !== spelled && isKnown.has(base)) return `${base} is not read from a file`;
    return OF_OTHERS.test(name) ? 'this service does not read it' : undefined;
  };
  return Object.entries(environment).flatMap(([setting, value]) => {
    const isSet = value !== undefined && !(typeof value === 'string' && value.trim() === '');
    const reason = isSet && PRINTABLE.test(setting) ? reasonFor(setting, value) : undefined;
    return reason === undefined ? [] : [{ setting, reason }];
  });
}

/** Prefixes that are set in place of the right one, or before the whole name. */
const PREFIX =
  /^(?:IMAGE_?CACHES?(?:_BFF)?|HUAWEI(?:_?CLOUD)?(?:_SDK)?|HWC?(?:_SDK)?|CLOUD(?:_SDK)?|SDK|CCE|AUTH|OIDC|JWT|CACHE|UPSTREAM|OTLP)_/;
/** Kubernetes makes such names of services, and other programs have their own. */
const COMMON_END = /(?:HOST|PORT|URL|ENDPOINT)$/;
/** In a shorter name another letter makes another word: POST is no slip for PORT. */
const LONG_NAME_CHARACTERS = 6;

/** The known name that `name`, in capitals, is with a slip of the pen, or else with another prefix. */
function findMeant(name: string, known: readonly string[]): string | undefined {
  const joined = name.replaceAll('_', '');
  const plural = name.replace(/Y$/, 'IES');
  const rest = name.replace(PREFIX, '');
  const hasPrefix = rest !== name && !COMMON_END.test(rest);
  return (
    known.find((one) => isOneSlipAway(name, one) || joined === one.replaceAll('_', '') || plural === one) ??
    known.find((one) => hasPrefix && (rest === one || rest === one.replace(PREFIX, '')))
  );
}

/** One character too many, missing, or another one, or two neighbours swapped. */
function isOneSlipAway(name: string, known: string): boolean {
  let start = 0;
  while (start < name.length && name[start] === known[start]) start += 1;
  let [end, knownEnd] = [name.length, known.length];
  while (end > start && knownEnd > start && name[end - 1] === known[knownEnd - 1]) {
    end -= 1;
    knownEnd -= 1;
  }
  const [a, b] = [name.slice(start, end), known.slice(start, knownEnd)];
  if (a.length + b.length < 2) return true;
  if (a.length === 1 && b.length === 1) return known.length >= LONG_NAME_CHARACTERS;
  return a.length === 2 && a === `${b[1]}${b[0]}`;
}
