/** For `node --import`: writes a line to standard error for each module that is imported or required, and by whom. */
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** The pipe is full while its reader is busy with other things: then the line is tried again. */
function writeWhole(text: string): void {
  let rest = Buffer.from(text);
  while (rest.byteLength > 0) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    writeWhole(`resolved ${resolved.url} for ${context.parentURL}\n`);
    return resolved;
  },
});
