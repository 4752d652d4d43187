import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SecretVolume {
  readonly path: string;
  /** The path of a key of the secret. */
  file(name: string): string;
  /** Replaces all of it at once, as the kubelet does. */
  swap(contents: Readonly<Record<string, string>>): Promise<void>;
  remove(): Promise<void>;
}

/**
 * A mounted secret as the kubelet lays it out (pkg/volume/util/atomic_writer.go): the keys are links into
 * `..data`, itself a link to a folder with a time in its name, which a rename replaces.
 */
export async function createSecretVolume(contents: Readonly<Record<string, string>>): Promise<SecretVolume> {
  const path = await mkdtemp(join(tmpdir(), 'secret-volume-'));
  let version = 0;
  let current: string | undefined;
  const swap = async (next: Readonly<Record<string, string>>) => {
    version += 1;
    const folder = `..2026_01_02_03_04_05.${version}`;
    await mkdir(join(path, folder));
    for (const [name, text] of Object.entries(next)) await writeFile(join(path, folder, name), text);
    await symlink(folder, join(path, '..data_tmp'));
    await rename(join(path, '..data_tmp'), join(path, '..data'));
    if (current !== undefined) await rm(join(path, current), { recursive: true });
    current = folder;
  };
  await swap(contents);
  for (const name of Object.keys(contents)) await symlink(`..data/${name}`, join(path, name));
  return {
    path,
    file: (name) => join(path, name),
    swap,
    remove: () => rm(path, { recursive: true }),
  };
}
