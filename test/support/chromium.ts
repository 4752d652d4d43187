import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Where distributions put it; CHROMIUM_PATH says otherwise. */
const PATHS = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const PATH = PATHS.find((path) => path !== undefined && existsSync(path));

/** Is there a browser to test with? Its absence is a failure in CI, and elsewhere a notice. */
export function hasChromium(): boolean {
  if (PATH !== undefined) return true;
  if (process.env.CI !== undefined) throw new Error('Chromium is not installed');
  console.warn(
    'Tests in a browser are skipped: Chromium is not installed (CHROMIUM_PATH names another place).',
  );
  return false;
}

export function launchChromium(): Promise<Browser> {
  // In a container there are no user namespaces for its sandbox; only pages of loopback are opened.
  return chromium.launch({ executablePath: PATH as string, args: ['--no-sandbox'] });
}

export interface WatchedPage {
  readonly page: Page;
  /** What the browser complained of: errors, refused resources, breaches of the content security policy. */
  readonly complaints: readonly string[];
  /** Hosts that it asked for anything. */
  readonly hosts: ReadonlySet<string>;
}

/** A page whose complaints are kept. */
export async function openPage(
  browser: Browser,
  options: Parameters<Browser['newPage']>[0] = {},
): Promise<WatchedPage> {
  const page = await browser.newPage(options);
  const complaints: string[] = [];
  const hosts = new Set<string>();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && protocol !== 'blob:') hosts.add(host);
  });
  return { page, complaints, hosts };
}
