// The objectives, and the deliveries behind them.
export const pages = [
  { name: 'slo', path: '/admin/slo', ready: '#chart-success-720h0m0s canvas' },
  { name: 'slo-vendors', path: '/admin/slo?by=vendor&key=webhook&since=1h0m0s', ready: '#chart-success-1h0m0s canvas' },
  { name: 'deliveries', path: '/admin/deliveries?vendor=webhook', ready: 'table.deliveries' },
];

export const flows = {
  'a burn is drilled down to the deliveries that caused it': async (t) => {
    const any = t.vendor('webhook');
    await any.fail({ status: 422 });
    for (let i = 0; i < 3; i++) {
      await t.api('POST', `/api/channels/supplier:dashboard:burn/publish`, {
        type: 'timeline.updated', weddingId: 'burnt-wedding', payload: { coupleId: 'burnt-wedding', ceremonyTime: `2027-06-12T1${i}:00:00+02:00` },
      });
    }
    await t.eventually('the failures to be recorded', async () => (await t.api('GET', '/api/deliveries?reason=http_422&weddingId=burnt-wedding')).items.length === 3);
    await any.mend();
    await t.open('/admin/slo?by=wedding&key=burnt-wedding');
    await t.page.getByText('Somebody must look now').first().waitFor();
    await t.open('/admin/slo');
    await t.page.getByRole('link', { name: 'What caused it in 1 hour' }).first().click();
    const causes = t.page.locator('#causes');
    await causes.getByRole('link', { name: 'webhook' }).waitFor();
    t.must((await causes.innerText()).includes('burnt-wedding'), await causes.innerText());
    await causes.getByRole('link', { name: 'http_422' }).click();
    await t.page.waitForSelector('table.deliveries');
    t.must(await t.page.locator('table.deliveries tbody tr').count() >= 3, 'not all are listed');
    await t.page.locator('table.deliveries a').first().click();
    await t.page.waitForSelector('#attempts-title');
    t.must((await t.page.locator('#content').innerText()).includes('422'), 'the delivery does not say what the vendor answered');
  },

  'groups are searched, and one looked at in full': async (t) => {
    await t.open('/admin/slo?by=integration');
    await t.page.fill('#q', 'slack');
    await t.page.keyboard.press('Enter');
    const rows = t.page.locator('#objectives table tbody tr');
    await t.eventually('one row', async () => (await rows.count()) === 1);
    await t.page.getByRole('link', { name: 'sim-slack' }).click();
    await t.page.locator('#burn-title').getByText('sim-slack').waitFor();
    await t.page.waitForSelector('#chart-latency-720h0m0s canvas');
  },

  'the objectives are told without the script': async (t) => {
    const c = await t.context({ javaScriptEnabled: false });
    const page = await c.newPage();
    await t.signIn(page);
    await page.goto(`${t.url}/admin/slo`);
    const text = await page.locator('#objectives').innerText();
    t.must(text.includes('All deliveries') && text.includes('objective 99.5 %'), text);
    await c.close();
  },
};
