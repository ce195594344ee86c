// What the admin page costs a browser. The benchmark starts it (loadtest/bench/admin.go); by hand:
//
//   echo '{"url":"http://127.0.0.1:8080","key":"wsk_...","pages":[{"name":"overview","path":"/admin/integrations/channels","find":"alice","watch":5}]}' |
//     node admin-bench.mjs
//
// Each page is opened by a browser that has nothing of it yet but the session. One line of JSON is written for each:
//
//   name
//   bytes     transferred until it is up to date, headers, assets and the first of what is live included
//   ready     ms until it can be used: painted, scripts run, and no task of 50 ms or more under way
//   updates   most often that it was changed within a second, of those that it is watched for (watch)
//   find      ms from the last key of what is searched for (find) until it alone is listed, one row
//   filter    ms from the click on a state until the list is as it says
import { chromium } from 'playwright-core';
import { text } from 'node:stream/consumers';

const config = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({ executablePath: config.chromium || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });

const first = await browser.newContext();
const door = await first.newPage();
await door.goto(`${config.url}/admin/sign-in`);
await door.fill('#key', config.key);
await door.click('button.primary');
await door.waitForSelector('#nav');
const session = await first.storageState();
await first.close();

// watch notes in the page what is long, and when something is changed.
function watch() {
  window.benched = { long: 0, live: 0, changes: [] };
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) window.benched.long = Math.max(window.benched.long, e.startTime + e.duration);
  }).observe({ type: 'longtask', buffered: true });
  document.addEventListener('live', () => { window.benched.live += 1; });
  document.addEventListener('DOMContentLoaded', () => {
    new MutationObserver(() => window.benched.changes.push(performance.now())).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
}

// most is how many of the times lie within one second.
function most(times) {
  let most = 0;
  for (let from = 0, to = 0; to < times.length; to += 1) {
    while (times[to] - times[from] >= 1000) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

async function measure({ name, path, find, watch: seconds }) {
  const context = await browser.newContext({ storageState: session, viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(20000);
  const page = await context.newPage();
  await page.addInitScript(watch);
  const network = await context.newCDPSession(page);
  await network.send('Network.enable');
  const sizes = new Map(); // by request
  network.on('Network.responseReceived', (e) => { sizes.set(e.requestId, e.response.encodedDataLength); });
  network.on('Network.dataReceived', (e) => { sizes.set(e.requestId, (sizes.get(e.requestId) || 0) + e.encodedDataLength); }); // a stream does not end
  network.on('Network.loadingFinished', (e) => { sizes.set(e.requestId, e.encodedDataLength); });
  await page.goto(config.url + path, { waitUntil: 'load' });
  await page.waitForFunction(() => window.benched.live > 0); // all parts come at once
  await page.waitForTimeout(300);
  const told = { name, bytes: [...sizes.values()].reduce((a, b) => a + b, 0) };
  told.ready = await page.evaluate(() => {
    const [painted] = performance.getEntriesByName('first-contentful-paint');
    const [loaded] = performance.getEntriesByType('navigation');
    return Math.max(painted.startTime, loaded.domContentLoadedEventEnd, window.benched.long);
  });
  if (seconds) {
    await page.waitForTimeout(1000 * seconds);
    told.updates = most(await page.evaluate((from) => window.benched.changes.filter((at) => at > from), told.ready));
  }
  if (find) {
    const rows = '#fleet tbody tr';
    await page.locator('#q').pressSequentially(find);
    let begun = Date.now();
    await page.waitForFunction((rows) => document.querySelectorAll(rows).length === 1, rows);
    told.find = Date.now() - begun;
    await page.goto(config.url + path);
    await page.waitForSelector('#fleet');
    begun = Date.now();
    await page.click('#state-idle');
    await page.waitForFunction((rows) => {
      const all = [...document.querySelectorAll(rows)];
      return document.querySelector('#state-idle[aria-current="true"]') && all.length > 0 && all.every((row) => row.querySelector('.is-idle'));
    }, rows);
    told.filter = Date.now() - begun;
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
  await context.close();
}

for (const one of config.pages) await measure(one);
await browser.close();
