import type { CredentialConfig } from '../../config/config.ts';
import { CREDENTIAL_SOURCES } from '../../credentials/sources.ts';

/** Where credentials come from, and for the last source why: a sentence without its full stop. */
export function describeCredentialChoice(credentials: CredentialConfig): string {
  const { source } = credentials;
  const name = `${CREDENTIAL_SOURCES[source].name} (${source})`;
  if (source !== 'metadata') return name;
  const nothingElse = nothingElseIsSet(credentials);
  return (
    name + (nothingElse === undefined ? ', which HUAWEICLOUD_CREDENTIALS names' : `, since ${nothingElse}`)
  );
}

/** What is not set where credentials come from the last source as there is no other; undefined for any other choice. */
export function nothingElseIsSet(credentials: CredentialConfig): string | undefined {
  if (credentials.source !== 'metadata') return undefined;
  const passedOver = Object.entries(credentials.passedOver);
  if (passedOver.length === 0) return undefined;
  const sources = passedOver.map(([source, settings]) => `none of ${settings.join(', ')} (${source})`);
  return `no other source is configured: ${sources.join(' and ')} is set`;
}
