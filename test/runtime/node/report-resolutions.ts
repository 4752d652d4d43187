/** For `node --import`: writes a line to standard error for each module that is imported or required, and by whom. */
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    writeSync(2, `resolved ${resolved.url} for ${context.parentURL}\n`);
    return resolved;
  },
});
