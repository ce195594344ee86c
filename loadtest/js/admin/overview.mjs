// The overview.
export const pages = [{ name: 'overview', path: '/admin/integrations/channels', ready: '#fleet' }];

export const flows = {
  'the overview is searched and filtered, by keys alone': async (t) => {
    const rows = t.page.locator('#fleet tbody tr');
    const all = await rows.count();
    await t.page.keyboard.press('Tab');
    t.must(await t.page.evaluate(() => document.activeElement.className === 'skip'), 'the first tab stop is not the skip link');
    await t.page.keyboard.press('/');
    await t.page.keyboard.type('slack');
    await t.eventually('one row', async () => (await rows.count()) < all && (await rows.first().innerText()).includes('Slack'));
    t.must(await t.page.evaluate(() => document.activeElement.id === 'q' && document.activeElement.value === 'slack'), 'the field lost its focus or its text');
    t.must(t.page.url().includes('q=slack'), `the address is ${t.page.url()}`);
    await t.page.reload();
    t.must((await rows.first().innerText()).includes('Slack'), 'the search is lost with a reload');
  },

  'a page is under 150 KB, all in all': async (t) => {
    for (const path of [t.home, '/admin/integration/sim-webhook']) {
      const c = await t.context();
      const page = await c.newPage();
      await t.signIn(page, t.key, path);
      await page.waitForLoadState('load');
      const bytes = await page.evaluate(() => performance.getEntries().reduce((n, e) => n + (e.encodedBodySize || 0), 0));
      t.must(bytes > 10_000 && bytes < 150_000, `${path} takes ${bytes} bytes`);
      await c.close();
    }
  },

  'a breaker that opens and closes is seen live': async (t) => {
    const row = t.page.locator('#row-sim-webhook');
    await row.waitFor();
    const any = t.vendor('webhook');
    await any.fail({ status: 503 });
    for (let i = 0; i < 8; i++) {
      await t.api('POST', `/api/channels/supplier:dashboard:${i}/publish`, { type: 'timeline.updated', payload: { coupleId: 'c1', ceremonyTime: '2027-06-12T16:00:00+02:00' } });
    }
    await t.eventually('the row to say so', async () => (await row.innerText()).includes('Not reachable'));
    t.must(await t.page.locator('#fleet tbody tr').first().getAttribute('id') === 'row-sim-webhook', 'what fails is not first');
    await t.page.locator('#nav .badge').waitFor();
    t.must((await t.page.locator('#nav .badge').innerText()).startsWith('1'), 'the badge has another number');
    await any.mend();
    await t.eventually('the row to be well', async () => /Healthy|Degraded/.test(await row.innerText()));
    await t.eventually('the badge to go', async () => (await t.page.locator('#nav .badge').count()) === 0);
  },
};
