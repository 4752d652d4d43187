/** Files that name the version themselves. */
export const VERSIONED_FILES = [
  'package.json',
  'deploy/helm/imagecaches-bff/Chart.yaml',
  'deploy/Dockerfile',
  'CHANGELOG.md',
] as const;

/** https://semver.org, the regular expression at its end, without build metadata. */
const SEMANTIC_VERSION =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?$/;

const PATTERNS: Readonly<Record<(typeof VERSIONED_FILES)[number], RegExp>> = {
  'package.json': /(?<=^ {2}"version": ")[^"]+(?=",$)/m,
  'deploy/helm/imagecaches-bff/Chart.yaml': /(?<=^(?:version|appVersion): ).+$/gm,
  'deploy/Dockerfile': /(?<=^ARG VERSION=).+$/m,
  'CHANGELOG.md': /^## Unreleased$/m,
};

/**
 * A file with another version.
 *
 * @param date of the release, YYYY-MM-DD, for the list of changes
 * @throws Error when the version is no semantic one, or the file has no place for it
 */
export function setVersion(
  file: (typeof VERSIONED_FILES)[number],
  text: string,
  version: string,
  date: string,
): string {
  if (!SEMANTIC_VERSION.test(version)) throw new Error('the version has to be like 1.2.3 or 1.2.3-rc.1');
  const pattern = PATTERNS[file];
  if (text.search(pattern) === -1) throw new Error(`${file} has no place for a version`);
  return text.replace(
    pattern,
    file === 'CHANGELOG.md' ? `## Unreleased\n\n## ${version} (${date})` : version,
  );
}
