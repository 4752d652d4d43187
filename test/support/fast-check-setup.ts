import fc from 'fast-check';

/**
 * Sizes of generated values. Without this, fast-check stops at about 10 items whatever `maxLength` or `maxKeys` says.
 * What states no bound keeps fast-check's own: up to 10 items. A larger `baseSize` would mostly grow the noise
 * (`fc.json`, `fc.anything`) and costs minutes, so properties state a bound where size matters.
 */
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });
