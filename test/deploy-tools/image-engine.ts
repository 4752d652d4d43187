import { execFile, spawn, spawnSync } from 'node:child_process';
import { chmod, chown, copyFile, cp, mkdir, mkdtemp, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type RunningProcess, watchProcess } from '../runtime/node/running-process.ts';
import { onlyOnce } from './install-tools.ts';

const run = promisify(execFile);
const BUILD = fileURLToPath(new URL('.build/', import.meta.url));
const PROGRAMS = ['buildah', 'podman', 'runc', 'newuidmap', 'debootstrap', 'unshare', 'setpriv'] as const;
/** The release that the Dockerfile's own base image is of. */
const DEBIAN = 'bookworm';
const BASE = 'localhost/node-base';
/** User and group "nobody": the user of the engine that runs the image. */
const NOBODY = 65_534;
/** The kernel's number of this kind of file system (statfs(2)). */
const OVERLAYFS = 0x794c7630;
/** Users of containers, as /etc/subuid gives them to that user. */
const SUBORDINATE_IDS = 'nobody:200000:65536\n';

/**
 * Is there what an image is built and run with? Its absence is a failure in CI, and elsewhere a notice: the tests that
 * need it are skipped.
 */
export function hasImageEngine(): boolean {
  const missing: string[] = PROGRAMS.filter(
    (program) => spawnSync(program, ['--version']).error !== undefined,
  );
  if (process.getuid?.() !== 0) missing.push('the rights of root');
  if (missing.length === 0) return true;
  if (process.env.CI !== undefined) throw new Error(`cannot build an image without ${missing.join(', ')}`);
  console.warn(`The image is not built: there is no ${missing.join(', ')}.`);
  return false;
}

export interface BuiltImage {
  /** Digests of its layers as they are unpacked, the lowest first. */
  readonly layers: readonly string[];
  readonly config: {
    readonly User: string;
    readonly Healthcheck?: { readonly Test: readonly string[] };
  };
}

export interface ImageEngine {
  /** Builds the Dockerfile as it is from a folder, with nothing kept from an earlier build, and keeps it by this name. */
  readonly build: (name: string, context: string, buildArguments: readonly string[]) => Promise<BuiltImage>;
  /** Hands a built image to the engine of a user without rights. */
  readonly load: (name: string) => Promise<void>;
  /**
   * `podman run --rm --read-only` as a user without rights, in the network of this machine. Nothing can be written but
   * what `options` mount.
   */
  readonly start: (name: string, options: readonly string[], command?: readonly string[]) => RunningProcess;
  /** A folder that the user without rights owns. */
  readonly sharedFolder: () => Promise<string>;
  readonly remove: () => Promise<void>;
}

/** buildah, which builds, and podman, which runs what was built as another user. All that they keep is in one folder. */
export async function createImageEngine(): Promise<ImageEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'image-'));
  await chmod(folder, 0o755);
  const ofNobody = join(folder, 'nobody');
  for (const path of [ofNobody, join(ofNobody, 'run')]) {
    await mkdir(path);
    await chown(path, NOBODY, NOBODY);
  }
  const ids = join(folder, 'subordinate-ids');
  await writeFile(ids, SUBORDINATE_IDS);

  const driver = await storageDriver(folder);
  const store = [
    '--root',
    join(folder, 'store'),
    '--runroot',
    join(folder, 'run'),
    '--storage-driver',
    'vfs',
  ];
  const buildah = (...args: string[]) => run('buildah', [...store, ...args], { maxBuffer: 1 << 26 });
  const base = await baseFolder();
  await buildah('bud', '--isolation', 'chroot', '--tag', BASE, '--file', join(base, 'Dockerfile'), base);

  function podman(...args: string[]): RunningProcess {
    const child = spawn(
      'unshare',
      // In mounts of its own, so that this machine's files stay as they are.
      ['--mount', 'sh', '-ec', 'mount --bind "$0" /etc/subuid; mount --bind "$0" /etc/subgid; exec "$@"', ids]
        .concat(['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all'])
        .concat(['podman', '--root', join(ofNobody, 'store'), '--runroot', join(ofNobody, 'run/store')])
        .concat(['--storage-driver', driver, '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'])
        // The other runtime, crun, does not run where both versions of cgroups are mounted.
        .concat(['--runtime', 'runc', '--log-level', 'fatal', ...args]),
      {
        cwd: ofNobody,
        env: { PATH: systemPath(), HOME: ofNobody, XDG_RUNTIME_DIR: join(ofNobody, 'run') },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    return watchProcess(child);
  }

  return {
    build: async (name, context, buildArguments) => {
      const file = join(context, 'deploy/Dockerfile');
      const given = [`NODE_IMAGE=${BASE}`, ...buildArguments].flatMap((text) => ['--build-arg', text]);
      // OCI's own format has no health check.
      const how = ['--no-cache', '--format', 'docker', '--isolation', 'chroot', '--tag', name];
      await buildah('bud', ...how, ...given, '--file', file, context);
      const { stdout } = await buildah('inspect', '--type', 'image', name);
      const { Docker: image } = JSON.parse(stdout) as {
        Docker: { config: BuiltImage['config']; rootfs: { diff_ids: string[] } };
      };
      return { config: image.config, layers: image.rootfs.diff_ids };
    },
    load: async (name) => {
      const file = join(folder, `${name}.tar`);
      await buildah('push', '--quiet', name, `docker-archive:${file}:localhost/${name}:latest`);
      const loading = podman('load', '--quiet', '--input', file);
      if ((await loading.exited) !== 0) throw new Error(loading.stderr());
      await rm(file);
    },
    start: (name, options, command = []) =>
      podman(
        ...['run', '--rm', '--network', 'host', '--no-healthcheck', '--read-only', '--read-only-tmpfs=false'],
        ...['--cap-drop', 'all', '--security-opt', 'no-new-privileges', ...options],
        ...[`localhost/${name}:latest`, ...command],
      ),
    sharedFolder: async () => {
      const shared = await mkdtemp(join(ofNobody, 'shared-'));
      await chown(shared, NOBODY, NOBODY);
      return shared;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Layers one over another, which takes no copies, where the file system is not made of such layers already. */
async function storageDriver(folder: string): Promise<string> {
  const { type } = await statfs(folder);
  return type === OVERLAYFS ? 'vfs' : 'overlay';
}

/** Without the folders that npm puts first: there is another Node. */
function systemPath(): string {
  const path = (process.env.PATH ?? '').split(delimiter);
  return path.filter((folder) => !folder.includes('node_modules')).join(delimiter);
}

/**
 * A folder with what makes a base image like Node's own: Debian, Node of the package `node`, and this machine's npm with
 * the certificates that it trusts. It is made once.
 */
async function baseFolder(): Promise<string> {
  const folder = join(BUILD, 'node-base');
  await onlyOnce('node-base', async () => {
    await rm(folder, { recursive: true, force: true });
    const root = join(folder, 'root');
    await mkdir(folder, { recursive: true });
    await run('debootstrap', ['--variant=minbase', DEBIAN, root], { maxBuffer: 1 << 26 });
    for (const path of [
      'usr/share/doc',
      'usr/share/locale',
      'usr/share/man',
      'var/cache/apt',
      'var/lib/apt/lists',
    ])
      await rm(join(root, path), { recursive: true, force: true });

    const local = join(root, 'usr/local');
    await copyFile(createRequire(import.meta.url).resolve('node/bin/node'), join(local, 'bin/node'));
    const { stdout: npm } = await run('sh', ['-c', 'readlink -f "$(command -v npm)"']);
    await cp(dirname(dirname(npm.trim())), join(local, 'lib/node_modules/npm'), { recursive: true });
    await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
    const { stdout: certificates } = await run('npm', ['config', 'get', 'cafile']);
    if (certificates.trim() !== 'null') {
      await mkdir(join(local, 'etc'), { recursive: true });
      await copyFile(certificates.trim(), join(local, 'etc/certificates.pem'));
      await writeFile(join(local, 'etc/npmrc'), 'cafile=/usr/local/etc/certificates.pem\n');
    }

    await run('tar', ['--create', '--file', join(folder, 'root.tar'), '--directory', root, '.']);
    await rm(root, { recursive: true });
    await writeFile(
      join(folder, 'Dockerfile'),
      'FROM scratch\nADD root.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n',
    );
  });
  return folder;
}
