// Signing in and out, and who is kept out.
export const flows = {
  'signing in wants a key that is known': async (t) => {
    const c = await t.context();
    const page = await c.newPage();
    await page.goto(`${t.url}${t.home}?q=mail`);
    t.must(page.url().includes('/admin/sign-in'), `at ${page.url()}`);
    await page.fill('#key', 'wsk_nobody_0123456789');
    await page.click('button.primary');
    await page.getByText('This API key is not known').waitFor();
    await page.fill('#key', t.key);
    await page.click('button.primary');
    await page.waitForSelector('#nav');
    t.must(page.url().endsWith('?q=mail'), `signing in led to ${page.url()}`);
    const [cookie] = (await c.cookies()).filter((one) => one.name === 'wedsync_session');
    t.must(cookie.httpOnly && cookie.sameSite === 'Strict' && cookie.path === '/admin', JSON.stringify(cookie));
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForSelector('#key');
    await page.goto(t.url + t.home);
    t.must(page.url().includes('/admin/sign-in'), 'signed out, and still in');
    await c.addCookies([cookie]);
    await page.goto(t.url + t.home);
    t.must(page.url().includes('/admin/sign-in'), 'the cookie of a session that has ended lets in');
    await c.close();
  },

  'a revoked key ends its open pages': async (t) => {
    const made = await t.api('POST', '/api/keys', { name: 'viewer', scopes: ['integrations:read'] });
    const c = await t.context();
    const page = await c.newPage();
    await t.signIn(page, made.key);
    await page.waitForSelector('#fleet');
    t.must(await page.locator('#numbers').count() === 0, 'who may not read deliveries sees their numbers');
    await t.api('DELETE', `/api/keys/${made.id}`);
    await page.waitForSelector('#key'); // by itself, when the page is told
    await c.close();
  },

  'what another origin sends is refused': async (t) => {
    const statuses = [];
    for (const header of [{ 'Sec-Fetch-Site': 'cross-site' }, { Origin: 'https://evil.example' }]) {
      const r = await fetch(`${t.url}/admin/sign-out`, { method: 'POST', headers: header, redirect: 'manual' });
      statuses.push(r.status);
    }
    t.must(statuses.every((s) => s === 403), `answered ${statuses}`);
  },

  'it is light, dark, or as the system': async (t) => {
    const background = () => t.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const system = await background();
    await t.page.locator('form[action="/admin/theme"] button').click();
    t.must(await background() === system, 'light is not as a light system');
    await t.page.locator('form[action="/admin/theme"] button').click();
    t.must(await background() !== system, 'dark is as light');
    await t.page.locator('form[action="/admin/theme"] button').click();
    t.must(await background() === system, 'the system is not what it was');
  },
};
