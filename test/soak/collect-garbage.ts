/**
 * Loaded before the service: SIGUSR2 collects garbage, so that what is measured is what is held and not what happens to
 * lie about. Without --expose-gc it does nothing.
 */
process.on('SIGUSR2', () => globalThis.gc?.());
