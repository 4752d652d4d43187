import { describe, expect, it } from 'vitest';
import {
  checkListKey,
  metricLabels,
  parseSharedKey,
  toCacheKey,
  toSharedKey,
} from '../../src/cache/list-key.ts';
import { IMAGE_CACHE_NAME } from '../../src/imagecaches/query.ts';

const key = (name: string | undefined, target?: string) => ({ target, resource: 'imagecaches', name });

describe('the key of a list', () => {
  it('is made of target, resource and name', () => {
    expect(toCacheKey(key('web'))).toBe('imagecaches/web');
    expect(toCacheKey(key(undefined))).toBe('imagecaches/*');
    expect(toCacheKey(key('web', 'eu-1'))).toBe('eu-1/imagecaches/web');
    expect(toCacheKey(key(undefined, 'eu-1'))).toBe('eu-1/imagecaches/*');
  });

  it('has no target in the store, where each target has a namespace', () => {
    expect(toSharedKey(key('web', 'eu-1'))).toBe('imagecaches/web');
    expect(toSharedKey(key(undefined, 'eu-1'))).toBe('imagecaches/*');
  });

  it('keeps the whole list apart from every name, and can be read back', () => {
    expect('*').not.toMatch(IMAGE_CACHE_NAME);
    for (const name of [undefined, 'a', 'a-b', 'A.b_c'])
      expect(parseSharedKey(toSharedKey(key(name)))).toEqual({ resource: 'imagecaches', name });
    expect(parseSharedKey('web')).toEqual({ resource: '', name: 'web' });
  });

  it('gives metrics the target as a label, and no name', () => {
    expect(metricLabels(key('web', 'eu-1'))).toEqual({ target: 'eu-1' });
    expect(metricLabels(key('web'))).toEqual({});
  });

  it.each(['', 'Image', 'a/b', '*', 'a b', 'a'.repeat(65)])('cannot be of the resource %j', (resource) => {
    expect(() => checkListKey({ target: undefined, resource })).toThrow(TypeError);
    expect(() => checkListKey({ target: resource, resource: 'imagecaches' })).toThrow(TypeError);
    expect(() => checkListKey({ target: 'eu-1', resource: 'imagecaches' })).not.toThrow();
  });
});
