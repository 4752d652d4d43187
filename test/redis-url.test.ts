import { describe, expect, it } from 'vitest';
import { explainRedisUrl, parseRedisUrl } from '../src/config/redis-url.ts';

describe('parseRedisUrl', () => {
  it.each([
    'redis://localhost',
    'redis://127.0.0.1:6379',
    'rediss://user:p%40ss@redis.example.test:6380/15',
    'redis://:password@[::1]:6379/',
  ])('takes one server: %s', (url) => {
    expect(parseRedisUrl(url)).toEqual({ kind: 'single', url });
  });

  it('takes several as a cluster', () => {
    expect(parseRedisUrl('redis://a:1, redis://b:2')).toEqual({
      kind: 'cluster',
      urls: ['redis://a:1', 'redis://b:2'],
    });
  });

  it('takes sentinels', () => {
    expect(parseRedisUrl('rediss+sentinel://app:p%2Fw@s1,s2:26380,[::1]:3/main.1')).toEqual({
      kind: 'sentinel',
      primaryName: 'main.1',
      sentinels: [
        { host: 's1', port: 26_379 },
        { host: 's2', port: 26_380 },
        { host: '[::1]', port: 3 },
      ],
      username: 'app',
      password: 'p/w',
      isTls: true,
    });
    expect(parseRedisUrl('redis+sentinel://s1/main')).toMatchObject({
      username: undefined,
      password: undefined,
      isTls: false,
    });
    expect(parseRedisUrl('redis+sentinel://:pw@s1/main')).toMatchObject({
      username: undefined,
      password: 'pw',
    });
  });

  it('takes what sentinels ask for themselves, apart from what their primary does', () => {
    expect(
      parseRedisUrl(
        'redis+sentinel://app:p%2Fw@s1/main?sentinel_username=watch&sentinel_password=%23a+b%25=c',
      ),
    ).toMatchObject({
      username: 'app',
      password: 'p/w',
      sentinelUsername: 'watch',
      sentinelPassword: '#a+b%=c',
    });
    expect(parseRedisUrl('redis+sentinel://s1/main?sentinel_password=pw')).toMatchObject({
      password: undefined,
      sentinelUsername: undefined,
      sentinelPassword: 'pw',
    });
    expect(parseRedisUrl('redis+sentinel://:pw@s1/main')).toMatchObject({ sentinelPassword: undefined });
  });

  it.each([
    '',
    'redis://:100%@host',
    'redis://a,redis://:100%@b',
    'redis+sentinel://s1/main?',
    'redis+sentinel://s1/main?password=a',
    'redis+sentinel://s1/main?sentinel_password=a&sentinel_password=b',
    'redis+sentinel://s1/main?sentinel_password=%zz',
    'localhost:6379',
    'http://localhost',
    'redis://',
    'redis://host/name',
    'redis://host?db=1',
    'redis://host#1',
    'redis://host:99999',
    'redis://a,',
    'redis://a,http://b',
    'redis+sentinel://s1',
    'redis+sentinel://s1/',
    'redis+sentinel://s1:99999/main',
    'redis+sentinel://s1,,s2/main',
    'redis+sentinel://u:%zz@s1/main',
    'redis+sentinel://u@v@s1/main',
  ])('refuses %j', (text) => {
    expect(parseRedisUrl(text)).toBeUndefined();
  });
});

describe('explainRedisUrl', () => {
  it.each([
    'redis://:100%@host',
    'redis://:a%zz@host',
    'redis://:%ff@host',
    'redis://:a#b@host',
    'redis://:a/b@host:6379',
    'redis://:a?b@host',
    'redis://:a,b@host',
    'rediss://us/er:pw@host:6379/0',
    'redis://:good@a,redis://:b/d@b',
    'redis+sentinel://:a/b@s1/main',
    'redis+sentinel://:a#b@s1/main',
    'redis+sentinel://:a@b@s1/main',
    'redis+sentinel://s1/main?sentinel_password=a#b',
    'redis+sentinel://s1/main?sentinel_password=100%',
  ])('says of %s what has to be encoded, and shows none of it', (url) => {
    expect(parseRedisUrl(url)).toBeUndefined();
    expect(explainRedisUrl(url)).toMatch(
      /^has a user name or password with characters that must be percent-encoded/,
    );
    expect(explainRedisUrl(url)).not.toContain('host');
  });

  it.each([
    'localhost:6379',
    'http://localhost',
    'redis://:p%40ss@host/name',
    'redis://:pw@a,redis://:pw@b/name',
    'redis+sentinel://:pw@s1',
    'redis+sentinel://s1/main?password=a',
  ])('has nothing more to say of %s', (url) => {
    expect(parseRedisUrl(url)).toBeUndefined();
    expect(explainRedisUrl(url)).toBeUndefined();
  });
});
