import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from '../src/config/redis-url.ts';

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

  it.each([
    '',
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
