// Channels: finding one, and hearing it live.
export const pages = [
  { name: 'channels', path: '/admin/channels', ready: '#channels table' },
  { name: 'channel', path: '/admin/channel/supplier:dashboard:42', ready: '#tail-state:text("Live")' },
];

export const flows = {
  'an event that is published is seen in the live tail': async (t) => {
    await t.open('/admin/channels?q=supplier:');
    await t.page.click('#channels a >> nth=0');
    await t.page.waitForURL(/channel\/supplier/);
    await t.open('/admin/channel/supplier:dashboard:tail');
    const state = t.page.locator('#tail-state');
    await t.eventually('the tail to be live', async () => (await state.innerText()) === 'Live');
    const publish = (n) => t.api('POST', '/api/channels/supplier:dashboard:tail/publish', { type: 'tail.tried', payload: { n } });
    await publish('first');
    const first = t.page.locator('#tail-events li').first();
    await first.locator('summary').click();
    t.must((await first.innerText()).includes('"n": "first"'), await first.innerText());
    await t.eventually('the history to have it', async () => (await t.page.locator('#history').innerText()).includes('tail.tried'));
    await t.eventually('who listens to be told', async () => (await t.page.locator('#present').innerText()).includes('1 connection of 1 user'));
    await t.page.click('#tail-stop');
    await publish('held');
    await t.eventually('it to be held', async () => (await t.page.locator('#tail-stop').innerText()) === 'Go on (1)');
    t.must(await t.page.locator('#tail-events li').count() === 1, 'it is shown while the list is held');
    await t.page.click('#tail-stop');
    t.must(await t.page.locator('#tail-events li').count() === 2, 'what was held is lost');
  },

  'a tail of very many events is drawn a few times a second, and keeps the newest': async (t) => {
    await t.open('/admin/channel/supplier:dashboard:busy');
    await t.eventually('the tail to be live', async () => (await t.page.locator('#tail-state').innerText()) === 'Live');
    await t.page.evaluate(() => {
      window.drawn = 0;
      new MutationObserver(() => { window.drawn += 1; }).observe(document.getElementById('tail-events'), { childList: true });
    });
    const began = Date.now();
    for (let i = 0; i < 300; i += 30) {
      await Promise.all(Array.from({ length: 30 }, (_, k) => t.api('POST', '/api/channels/supplier:dashboard:busy/publish', { type: 'busy', payload: { n: i + k } })));
    }
    await t.api('POST', '/api/channels/supplier:dashboard:busy/publish', { type: 'busy.last', payload: {} });
    const lines = t.page.locator('#tail-events li');
    await t.eventually('the last event', async () => (await lines.first().innerText()).includes('busy.last'));
    const most = 5 * (Date.now() - began) / 1000 + 2; // one at the beginning, one at the end
    const drawn = await t.page.evaluate(() => window.drawn);
    t.must(drawn <= most, `it was drawn ${drawn} times`);
    t.must(await lines.count() === 200, `${await lines.count()} events are listed`);
  },

  'a pattern that is none is told so': async (t) => {
    await t.open('/admin/channels?q=a:**:b');
    await t.page.locator('#channels .wrong').waitFor();
  },

  'a page without the script has all but the live tail': async (t) => {
    const c = await t.context({ javaScriptEnabled: false });
    const page = await c.newPage();
    await t.signIn(page);
    await page.goto(`${t.url}/admin/channel/supplier:dashboard:42`);
    t.must((await page.locator('#history').innerText()).includes('timeline.updated'), 'the history is not there');
    t.must((await page.locator('#tail').innerText()).includes('Needs the page'), 'it does not say that the tail needs the script');
    await page.goto(`${t.url}/admin/cluster`);
    t.must((await page.locator('#cluster').innerText()).includes('All of it, alone'), 'the nodes are not there');
    await c.close();
  },
};
