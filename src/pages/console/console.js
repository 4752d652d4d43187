// @ts-check
/**
 * The script of /console. The token is kept in a variable of this page and nowhere else: a reload forgets it.
 */

/** @typedef {import('../../imagecaches/model.ts').ImageCache} ImageCache */

/** @template {Element} T @param {string} selector @param {new () => T} type @returns {T} */
function find(selector, type) {
  const element = document.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`no ${selector}`);
  return element;
}

const main = find('main', HTMLElement);
const message = find('#message', HTMLElement);
const signIn = find('#sign-in', HTMLFormElement);
const tokenInput = find('#token', HTMLInputElement);
const lists = find('#lists', HTMLElement);
const search = find('#search', HTMLInputElement);
const refresh = find('#refresh', HTMLButtonElement);
const reload = find('#reload', HTMLButtonElement);
const signOut = find('#sign-out', HTMLButtonElement);
const freshness = find('#freshness', HTMLElement);
const found = find('#found', HTMLElement);
const rows = find('tbody', HTMLElement);
const chart = find('.chart', HTMLElement);
const loginButton = document.querySelector('#login');

let token = '';
/** @type {ImageCache[]} */
let imageCaches = [];

const GOOD = new Set(['Available']);
const BUSY = new Set(['Creating', 'Deleting']);
const BAD = new Set(['Failed', 'Unavailable']);

/** @param {string} status */
function classOf(status) {
  if (GOOD.has(status)) return 'status-good';
  if (BUSY.has(status)) return 'status-busy';
  return BAD.has(status) ? 'status-bad' : 'status-other';
}

/** @param {string} name @param {Record<string, string>} attributes @param {(Node | string)[]} children */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const numbers = new Intl.NumberFormat();
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

/** @param {string} text */
function sayTime(text) {
  const seconds = (Date.parse(text) - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return element(
    'time',
    { datetime: text, title: exact.format(new Date(text)), tabindex: '0' },
    relative.format(Math.trunc(seconds / size), /** @type {Intl.RelativeTimeFormatUnit} */ (unit)),
  );
}

/** @param {string} text @param {boolean} isBad */
function say(text, isBad = false) {
  message.hidden = text === '';
  message.className = isBad ? 'bad' : '';
  message.textContent = text;
}

/** What the token says that it may do. The service decides; this is only to show the button. */
function scopes() {
  try {
    const [, payload = ''] = token.split('.');
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (c) =>
      c.charCodeAt(0),
    );
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return (main.dataset.scopeClaims ?? '').split(',').flatMap((name) => {
      const claim = claims[name];
      return Array.isArray(claim) ? claim : String(claim ?? '').split(' ');
    });
  } catch {
    return [];
  }
}

function showChart() {
  /** @type {Map<string, { size: number, count: number }>} */
  const byStatus = new Map();
  let total = 0;
  for (const { status, image_cache_size: size } of imageCaches) {
    const sum = byStatus.get(status) ?? { size: 0, count: 0 };
    byStatus.set(status, { size: sum.size + size, count: sum.count + 1 });
    total += size;
  }
  find('#total-count', HTMLElement).textContent = numbers.format(imageCaches.length);
  find('#total-size', HTMLElement).textContent = `${numbers.format(total)} GiB`;
  find('#total-available', HTMLElement).textContent = numbers.format(byStatus.get('Available')?.count ?? 0);
  const largest = Math.max(1, ...Array.from(byStatus.values(), ({ size }) => size));
  const bars = [...byStatus]
    .sort(([, a], [, b]) => b.size - a.size)
    .map(([status, { size, count }]) => {
      const bar = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      bar.setAttribute('aria-hidden', 'true');
      bar.setAttribute('viewBox', '0 0 100 4');
      bar.setAttribute('preserveAspectRatio', 'none');
      const rectangle = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      rectangle.setAttribute('width', String((100 * size) / largest));
      rectangle.setAttribute('height', '4');
      rectangle.setAttribute('class', classOf(status));
      bar.append(rectangle);
      return element(
        'li',
        {},
        element('span', {}, status),
        bar,
        element('span', { class: 'amount' }, `${numbers.format(size)} GiB (${numbers.format(count)})`),
      );
    });
  chart.replaceChildren(...bars);
}

/** @param {ImageCache} imageCache */
function toRow({ name, status, images, image_cache_size: size, created_at: created, expires_at: expires }) {
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, name),
    element('td', { 'data-label': 'Status' }, element('span', { class: `badge ${classOf(status)}` }, status)),
    element('td', { 'data-label': 'Size', class: 'number' }, `${numbers.format(size)} GiB`),
    element(
      'td',
      { 'data-label': 'Images' },
      element('ul', {}, ...images.map((image) => element('li', {}, element('code', {}, image)))),
    ),
    element('td', { 'data-label': 'Created' }, sayTime(created)),
    element('td', { 'data-label': 'Expires' }, expires === null ? 'never' : sayTime(expires)),
  );
}

function showRows() {
  const wanted = search.value.trim().toLowerCase();
  const shown = imageCaches.filter(({ name }) => name.toLowerCase().includes(wanted));
  rows.replaceChildren(...shown.map(toRow));
  const isEmpty = imageCaches.length === 0;
  find('table', HTMLElement).hidden = shown.length === 0;
  find('#overview', HTMLElement).hidden = isEmpty;
  if (isEmpty) found.textContent = 'There are no image caches in this project yet.';
  else if (shown.length === 0) found.textContent = `No name contains “${search.value.trim()}”.`;
  else found.textContent = `${numbers.format(shown.length)} of ${numbers.format(imageCaches.length)}`;
}

/** @param {Response} response */
function showFreshness({ headers }) {
  const age = Number(headers.get('age') ?? 0);
  const status = headers.get('cache-status') ?? '';
  const isStale = status.includes('stale');
  const how = isStale ? 'stale: the cloud does not answer, or a newer list is on its way' : 'fresh';
  freshness.textContent = `Loaded ${relative.format(-age, 'second')} (${how}).`;
  freshness.title = status;
}

const PROBLEMS = /** @type {Record<string, string>} */ ({
  unauthenticated:
    'The token is not accepted: it has expired, or is meant for something else. Sign in again.',
  forbidden: 'This token may not read the list. Ask for the scope that the service needs.',
  rate_limited: 'Too many requests. Wait a moment and try again.',
  upstream_rejected: 'The cloud refuses the key of this service. Its operator has to look at it.',
  upstream_failed: 'The cloud gives no usable answer, and there is no older list to show.',
  upstream_timeout: 'The cloud does not answer in time, and there is no older list to show.',
});

/** @param {boolean} isForced */
async function load(isForced = false) {
  refresh.disabled = true;
  reload.disabled = true;
  main.setAttribute('aria-busy', 'true');
  say('Loading…');
  try {
    const response = await fetch('/imagecaches', {
      headers: { authorization: `Bearer ${token}`, ...(isForced && { 'cache-control': 'no-cache' }) },
      cache: 'no-store',
    });
    const body = await response.json();
    if (response.ok) {
      imageCaches = body.image_caches;
      signIn.hidden = true;
      lists.hidden = false;
      signOut.hidden = false;
      refresh.hidden = !scopes().includes(main.dataset.refreshScope ?? '');
      showFreshness(response);
      showChart();
      showRows();
      say(isForced ? 'The list was loaded again.' : '');
      return;
    }
    const explained = PROBLEMS[body.code] ?? `${body.title ?? 'Something is wrong'}.`;
    if (response.status === 401) leave();
    say(`${explained} (request ${body.instance})`, true);
  } catch {
    say('The service cannot be reached. Is the network there?', true);
  } finally {
    refresh.disabled = false;
    reload.disabled = false;
    main.removeAttribute('aria-busy');
  }
}

function leave() {
  token = '';
  imageCaches = [];
  rows.replaceChildren();
  lists.hidden = true;
  signOut.hidden = true;
  signIn.hidden = false;
  tokenInput.value = '';
  tokenInput.focus();
}

signIn.addEventListener('submit', (event) => {
  event.preventDefault();
  token = tokenInput.value.trim().replace(/^Bearer\s+/i, '');
  tokenInput.value = '';
  if (token === '') say('Paste a token first.', true);
  else void load();
});
search.addEventListener('input', showRows);
refresh.addEventListener('click', () => void load(true));
reload.addEventListener('click', () => void load());
signOut.addEventListener('click', () => {
  leave();
  say('Signed out: this page has forgotten the token.');
});

const { issuer, clientId, audience, scope } = main.dataset;
/** What has to outlive the way to the issuer and back. No token. */
const LOGIN = 'imagecaches-bff login';

/** @returns {Promise<any>} */
const oauth = () => import(/** @type {string} */ ('/console/oauth4webapi.js'));

/** The issuer's endpoints; http for loopback only, as the service itself has it. */
async function discover(/** @type {any} */ lib) {
  const url = new URL(/** @type {string} */ (issuer));
  const options = url.protocol === 'http:' ? { [lib.allowInsecureRequests]: true } : {};
  const server = await lib.processDiscoveryResponse(url, await lib.discoveryRequest(url, options));
  return { server, options };
}

const redirectUri = `${location.origin}/console`;

async function beginLogin() {
  say('Going to the sign-in page…');
  try {
    const lib = await oauth();
    const { server } = await discover(lib);
    const verifier = lib.generateRandomCodeVerifier();
    const state = lib.generateRandomState();
    sessionStorage.setItem(LOGIN, JSON.stringify({ verifier, state }));
    const target = new URL(server.authorization_endpoint);
    const parameters = {
      client_id: clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope,
      audience,
      state,
      code_challenge: await lib.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value ?? '');
    location.assign(target);
  } catch {
    say('The token issuer cannot be reached, or does not let this page in.', true);
  }
}

async function endLogin() {
  const here = new URL(location.href);
  const kept = sessionStorage.getItem(LOGIN);
  sessionStorage.removeItem(LOGIN);
  // The code is not left in the history.
  history.replaceState(null, '', '/console');
  if (kept === null) return;
  say('Signing in…');
  try {
    const { verifier, state } = JSON.parse(kept);
    const lib = await oauth();
    const { server, options } = await discover(lib);
    const client = { client_id: clientId };
    const answer = lib.validateAuthResponse(server, client, here, state);
    const response = await lib.authorizationCodeGrantRequest(
      server,
      client,
      lib.None(),
      answer,
      redirectUri,
      verifier,
      options,
    );
    token = (await lib.processAuthorizationCodeResponse(server, client, response)).access_token;
    await load();
  } catch {
    say('Signing in failed. Try again, or paste a token.', true);
  }
}

if (loginButton instanceof HTMLButtonElement) {
  loginButton.addEventListener('click', () => void beginLogin());
  const { searchParams } = new URL(location.href);
  if (searchParams.has('code') || searchParams.has('error')) void endLogin();
}
