import { describe, expect, it } from 'vitest';
import { parseProfile } from '../../src/config/documents/profile.ts';
import { createNamespace } from '../../src/fleet/namespace.ts';
import { parsed } from '../support/parse-settings.ts';

const profile = (more: object = {}) => ({
  accessKeyId: 'AK',
  secretAccessKey: 'SK',
  securityToken: undefined,
  projectId: undefined,
  iamEndpoint: undefined,
  ...more,
});

describe('a profile file', () => {
  it.each<[string, object]>([
    ['[basic]\nak = AK\nsk = SK\n', {}],
    ['[basic]\r\nak=AK\r\nsk:SK', {}],
    ['# a\n[global]\nak = other\n[basic]\n; b\nAK = AK\n  sk  =  SK  \n[other]\nsk = other\n', {}],
    ['[basic]\nak = AK\nsk = S=K:/+', { secretAccessKey: 'S=K:/+' }],
    [
      '[basic]\nak=AK\nsk=SK\nsecurity_token=T\nproject_id=p1\niam_endpoint=https://iam.example.test/\ndomain_id=d',
      { securityToken: 'T', projectId: 'p1', iamEndpoint: 'https://iam.example.test' },
    ],
    ['[basic]\nak=AK\nsk=SK\nsecurity_token=\nproject_id=', {}],
  ])('reads %j', (text, more) => {
    expect(parseProfile(text)).toEqual(profile(more));
  });

  it.each<[string, RegExp]>([
    ['', /without a section \[basic\]/],
    ['ak = PLANTED\nsk = PLANTED', /without a section/],
    ['[global]\nak = PLANTED\nsk = PLANTED', /without a section/],
    ['[basic]\nak = PLANTED', /^names a file in whose \[basic\] sk is missing$/],
    ['[basic]\nak = PLANTED PLANTED\nsk = SK', /ak is malformed/],
    ['[basic]\nak = AK\nsk = PLANTEDé', /sk is malformed/],
    ['[basic]\nak=AK\nsk=SK\nproject_id=PLANTED!', /project_id is malformed/],
    [
      '[basic]\nak=AK\nsk=SK\nproject_id=auto',
      /project_id is auto, which only HUAWEICLOUD_SDK_PROJECT_ID may be/,
    ],
    ['[basic]\nak=AK\nsk=SK\niam_endpoint=http://PLANTED.test', /iam_endpoint is not an https URL/],
    ['[basic]\nak=AK\nsk=SK\nidp_id=PLANTED', /idp_id is of the older federation.*use OIDC/],
    ['[basic]\nak=AK\nsk=SK\nid_token_file=/PLANTED', /id_token_file is of the older federation/],
  ])('says what is wrong with %j, without a value', (text, fault) => {
    const parsed = parseProfile(text) as { faults: string[] };
    expect(parsed.faults).toEqual([expect.stringMatching(fault)]);
    expect(parsed.faults[0]).not.toContain('PLANTED');
  });
});

it('keeps what replicas share of different keys apart', async () => {
  const namespaceOf = (key: string) =>
    createNamespace([
      parsed({
        HUAWEICLOUD_SDK_AK: undefined,
        HUAWEICLOUD_SDK_SK: undefined,
        HUAWEICLOUD_SDK_CREDENTIALS: `[basic]\nak=${key}\nsk=SK`,
      }).target,
    ])();
  expect(await namespaceOf('AK1')).not.toBe(await namespaceOf('AK2'));
});
