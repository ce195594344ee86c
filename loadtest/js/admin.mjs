// The admin page in a real browser, without a screen. A Go test starts it (loadtest/e2e/admin_test.go); by hand:
//
//   echo '{"url":"http://127.0.0.1:8080","key":"wsk_...","vendors":{},"shots":"shots"}' | node admin.mjs [name]
//
// Each file in admin/ has what concerns one page:
//
//   export const pages = [{name, path, ready}]   // looked at in both widths and themes; path may be async (t) => path
//   export const flows = {'what must work': async (t) => { … }}
//
// A page must be clean for axe, write no error to the console, violate no policy, and fit its width; ready is a
// selector to wait for. A flow gets t: t.page, who has signed in; t.url and t.key of the node; t.api(method, path, body);
// t.vendor(name), which steers a simulator; t.open(path); t.eventually(what, f); t.newPage(). Whatever a flow throws fails it.
// One line of JSON is written for each: {"name", "error"?}.
import { chromium } from 'playwright-core';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';

const config = JSON.parse(await text(process.stdin));
const only = process.argv[2] || '';
const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const home = '/admin/integrations/channels';
mkdirSync(config.shots, { recursive: true });

const browser = await chromium.launch({ executablePath: config.chromium || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });

// watch collects what a page must not do.
function watch(page) {
  const wrong = [];
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') wrong.push(`console: ${m.text()}`); });
  page.on('pageerror', (e) => wrong.push(`script: ${e.message}`));
  page.on('requestfailed', (r) => {
    if (r.failure()?.errorText !== 'net::ERR_ABORTED') wrong.push(`request: ${r.url()} ${r.failure()?.errorText}`); // what a page that was left asked for
  });
  return wrong;
}

async function context(options = {}) {
  const c = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  c.setDefaultTimeout(20000);
  return c;
}

async function signIn(page, key = config.key, to = home) {
  await page.goto(`${config.url}${to}`);
  await page.fill('#key', key);
  await page.click('button.primary');
  await page.waitForSelector('#nav');
}

// look opens a page and says what is wrong with it.
async function look(page, wrong, { name, path, ready }, tag) {
  wrong.length = 0;
  const answer = await page.goto(config.url + (typeof path === 'function' ? await path(tools(page)) : path));
  if (answer.status() !== 200) wrong.push(`status ${answer.status()}`);
  await page.waitForSelector(ready || '#content');
  await page.waitForFunction(() => !document.querySelector('.htmx-request'));
  await page.screenshot({ path: `${config.shots}/${name}-${tag}.png`, fullPage: true });
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (over > 0) wrong.push(`it is ${over} pixels wider than the screen`);
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const v of found.violations) wrong.push(`axe ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message || '')).join(' | ')}`);
  return wrong.splice(0);
}

function tools(page) {
  const t = {
    page, url: config.url, key: config.key, home, browser, shots: config.shots, context, signIn, watch,
    open: (path) => page.goto(config.url + path),
    async api(method, path, body) {
      const r = await fetch(config.url + path, {
        method, headers: { Authorization: `Bearer ${config.key}`, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
      });
      const answer = await r.text();
      if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${answer}`);
      return answer ? JSON.parse(answer) : null;
    },
    vendor(name) {
      const ask = async (method, path, body) => {
        const r = await fetch(config.vendors[name] + path, { method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });
        if (!r.ok) throw new Error(`the simulator ${name} answers ${method} ${path} with ${r.status} ${await r.text()}`);
        return r.json();
      };
      return {
        url: config.vendors[name],
        fail: (fault) => ask('POST', '/_sim/faults', fault),
        mend: () => ask('DELETE', '/_sim/faults'),
        received: () => ask('GET', '/_sim/received'),
      };
    },
    async eventually(what, holds) {
      const end = Date.now() + 20000;
      for (;;) {
        if (await holds()) return;
        if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
        await new Promise((done) => { setTimeout(done, 50); });
      }
    },
    must(ok, what) { if (!ok) throw new Error(what); },
  };
  return t;
}

async function tell(name, run) {
  if (!name.includes(only)) return;
  const began = Date.now();
  let error;
  try {
    await run();
  } catch (e) {
    error = e.stack || String(e);
  }
  process.stdout.write(`${JSON.stringify({ name, error, took: Date.now() - began })}\n`);
}

const files = [];
for (const file of readdirSync(new URL('./admin/', import.meta.url)).sort()) files.push(await import(`./admin/${file}`));

for (const { flows = {} } of files) {
  for (const [name, run] of Object.entries(flows)) {
    await tell(name, async () => {
      const c = await context();
      const page = await c.newPage();
      const wrong = watch(page);
      try {
        await signIn(page);
        await run({ ...tools(page), wrong });
        if (wrong.length) throw new Error(wrong.join('\n'));
      } catch (e) {
        await page.screenshot({ path: `${config.shots}/failed-${name.replace(/\W+/g, '-')}.png` }).catch(() => {});
        throw e;
      } finally {
        await c.close();
      }
    });
  }
}

for (const theme of ['light', 'dark']) {
  for (const width of [360, 1440]) {
    const c = await context({ viewport: { width, height: 900 }, colorScheme: theme });
    const page = await c.newPage();
    const wrong = watch(page);
    const tag = `${width}-${theme}`;
    await tell(`page sign-in ${tag}`, async () => {
      const all = await look(page, wrong, { name: 'sign-in', path: '/admin/sign-in' }, tag);
      if (all.length) throw new Error(all.join('\n'));
    });
    await signIn(page);
    for (const { pages = [] } of files) {
      for (const one of pages) {
        await tell(`page ${one.name} ${tag}`, async () => {
          const all = await look(page, wrong, one, tag);
          if (all.length) throw new Error(all.join('\n'));
        });
      }
    }
    await c.close();
  }
}
await browser.close();
