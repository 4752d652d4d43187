import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { hasChromium, launchChromium, openPage } from '../../support/chromium.ts';
import { endAll, type RunningProcess, startProcess } from './running-process.ts';

const running: RunningProcess[] = [];
let simulator: Simulator;
let issuer: TokenIssuer;
let url: string;

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  const service = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
  });
  running.push(service);
  const [, port] = await service.printed(/"port":(\d+).*"msg":"listening"/);
  url = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  await endAll(running);
  await Promise.all([simulator.stop(), issuer.stop()]);
});

it('the page and its files come from this host, with their types', async () => {
  for (const [path, type] of [
    ['/docs', 'text/html; charset=utf-8'],
    ['/docs/start.js', 'text/javascript; charset=utf-8'],
    ['/docs/swagger-ui.css', 'text/css; charset=utf-8'],
    ['/docs/swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ] as const) {
    const response = await fetch(url + path);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
    expect(response.headers.get('content-security-policy')).toContain(
      "default-src 'none'; script-src 'self';",
    );
    await response.arrayBuffer();
  }
  expect((await fetch(`${url}/docs/../package.json`)).status).toBe(404);
  expect((await fetch(`${url}/docs/swagger-ui.js`)).status).toBe(404);
});

describe.skipIf(!hasChromium())('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  it('the page shows every operation, calls the service with a token, and breaks no rule of its policy', async () => {
    const { page, complaints, hosts } = await openPage(browser);
    await page.goto(`${url}/docs`);
    await page.locator('.opblock').first().waitFor();
    expect(await page.locator('.opblock').count()).toBe(14);

    await page.locator('.btn.authorize').click();
    await page
      .locator('.auth-container input')
      .first()
      .fill(await issuer.sign());
    await page.locator('.auth-btn-wrapper .authorize').first().click();
    await page.locator('.btn-done').first().click();
    await page.locator('#operations-image_caches-listImageCaches .opblock-summary-control').click();
    await page.locator('#operations-image_caches-listImageCaches .try-out__btn').click();
    // The example of a name matches nothing; the whole list is asked for.
    await page.locator('#operations-image_caches-listImageCaches tr[data-param-name="name"] input').fill('');
    await page
      .locator('#operations-image_caches-listImageCaches tr[data-param-name="If-None-Match"] input')
      .fill('');
    await page.locator('#operations-image_caches-listImageCaches .execute').click();
    await page.locator('.live-responses-table .response-col_status', { hasText: '200' }).waitFor();
    expect(complaints).toEqual([]);
    expect([...hosts]).toEqual([new URL(url).host]);
    await page.close();
  });
});
