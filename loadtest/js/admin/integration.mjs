// The page of one integration, and that of a delivery.
export const pages = [
  { name: 'integration', path: '/admin/integration/sim-webhook', ready: '#deliveries table' },
  { name: 'delivery', path: async (t) => `/admin/delivery/${(await t.api('GET', '/api/deliveries?integration=sim-webhook&limit=1')).items[0].id}`, ready: '#attempts-title' },
];

const path = '/admin/integration/sim-irisworks';

export const flows = {
  'an integration is tested, and the vendor\'s answer told in plain words': async (t) => {
    await t.open(path);
    const test = t.page.getByRole('button', { name: 'Test integration' });
    await test.click();
    await t.page.getByText('The vendor took the sample').waitFor();
    const vendor = t.vendor('irisworks');
    await vendor.fail({ status: 401 });
    await test.click();
    await t.page.getByText('The vendor does not let us in').waitFor();
    await vendor.mend();
  },

  'it is paused with a reason, and resumed': async (t) => {
    await t.open(path);
    await t.page.getByRole('button', { name: 'Pause…' }).click();
    const dialog = t.page.locator('dialog#pause');
    t.must((await dialog.innerText()).includes('Nothing is sent to it'), 'the dialog does not say what it does');
    await dialog.getByLabel('Why, for others to read').fill('moving house');
    await dialog.getByRole('button', { name: 'Pause' }).click();
    await t.page.locator('#health').getByText('moving house').waitFor();
    t.must(!(await dialog.isVisible()), 'the dialog stays open');
    await t.page.getByRole('button', { name: 'Resume' }).click();
    await t.page.locator('#health').getByText('Healthy').waitFor();
    await t.page.locator('#timeline').getByText('Paused').first().waitFor();
  },

  'settings are checked as one types, and stored': async (t) => {
    await t.open('/admin/integration/sim-webhook');
    const url = t.page.getByLabel('Webhook address');
    const was = await url.inputValue();
    await url.fill('ftp://example.com');
    await t.page.getByText('must begin with https://').waitFor();
    t.must(await url.getAttribute('aria-invalid') === 'true', 'the field is not marked');
    await t.page.getByRole('button', { name: 'Save settings' }).click();
    await t.page.locator('#notices .notice.bad').waitFor();
    t.wrong.length = 0; // the browser tells of the refusal, too
    await t.page.locator('#notices [data-dismiss]').click();
    await url.fill(was);
    await t.eventually('the complaint to go', async () => await url.getAttribute('aria-invalid') === 'false');
    await t.page.getByLabel('Name', { exact: true }).fill('Any system, renamed');
    await t.page.getByRole('button', { name: 'Save settings' }).click();
    await t.page.getByText('Saved. The next delivery').waitFor();
    await t.page.locator('#notices [data-dismiss]').click();
    await t.page.getByRole('button', { name: 'Save settings' }).click(); // with the new revision
    await t.page.getByText('Saved. The next delivery').waitFor();
    await t.page.reload();
    await t.page.getByRole('heading', { name: 'Any system, renamed' }).waitFor();
    t.must(!/whsec_[A-Za-z0-9+/]{20}/.test(await t.page.content()), 'the page shows a stored secret');
  },

  'a secret is rotated, shown once, and the old one ended': async (t) => {
    await t.open('/admin/integration/sim-webhook');
    await t.page.getByRole('button', { name: 'Rotate…' }).first().click();
    await t.page.getByRole('button', { name: 'Make a new secret' }).first().click();
    await t.page.locator('#secret-text').waitFor();
    t.must((await t.page.locator('#secret-text').innerText()).startsWith('whsec_'), 'no secret is shown');
    await t.page.reload();
    t.must(await t.page.locator('#secret-text').count() === 0, 'the secret is shown again');
    const settings = await (await fetch(`${t.vendor('webhook').url}/_sim/settings`)).json();
    await t.api('PUT', '/api/integrations/sim-webhook/secrets', settings.secrets); // what the simulator knows
  },

  'who may only look sees no buttons': async (t) => {
    const made = await t.api('POST', '/api/keys', { name: 'viewer', scopes: ['integrations:read'] });
    const c = await t.context();
    const page = await c.newPage();
    await t.signIn(page, made.key, path);
    await page.waitForSelector('#health');
    for (const name of ['Test integration', 'Pause…', 'Save settings', 'Rotate…']) {
      t.must(await page.getByRole('button', { name }).count() === 0, `there is ${name}`);
    }
    const status = await page.evaluate(async (p) => (await fetch(`${p}/resume`, { method: 'POST' })).status, path);
    t.must(status === 403, `resuming is answered ${status}`);
    await c.close();
  },
};
