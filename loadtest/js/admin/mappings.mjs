// Mappings, and who did what.
export const pages = [
  { name: 'mappings', path: '/admin/mappings', ready: '#mappings' },
  { name: 'mapping', path: '/admin/mapping/timelines', ready: '#preview .icon' },
  { name: 'mapping-new', path: '/admin/mappings/new', ready: '#targets' },
  { name: 'audit', path: async (t) => { await t.eventually('records', async () => (await t.api('GET', '/api/audit?action=mapping')).items.length > 0); return '/admin/audit'; }, ready: '#records' },
];

export const flows = {
  'a mapping is previewed on real events, saved, changed and deleted': async (t) => {
    await t.api('POST', '/api/channels/supplier:dashboard:95/publish', { type: 'guest.added', payload: { coupleId: 'c9', guestCount: 7 } });
    await t.page.getByRole('link', { name: 'Mappings' }).click();
    await t.page.getByRole('link', { name: 'Add mapping' }).click();
    await t.page.getByLabel('Id', { exact: true }).fill('guests');
    await t.page.getByLabel('Channels').fill('supplier:dashboard:95');
    await t.page.locator('#preview').getByText('Not complete, or not right yet').waitFor();
    await t.page.getByLabel('Its id, or the category').fill('sim-webhook');
    await t.page.locator('#preview').getByText('guest.added on supplier:dashboard:95 to sim-webhook').waitFor();
    await t.page.getByRole('button', { name: 'Save mapping' }).click();
    await t.page.waitForURL('**/admin/mapping/guests');
    await t.page.locator('#preview').getByText('Nothing changes').waitFor();
    await t.page.getByLabel('Condition').fill('payload.guestCount > 10');
    await t.page.locator('#preview').getByText('Would not be sent').first().waitFor();
    await t.page.screenshot({ path: `${t.shots}/mapping-preview.png`, fullPage: true, caret: 'initial' });
    await t.page.getByRole('button', { name: 'Save mapping' }).click();
    await t.page.getByText('Condition: payload.guestCount > 10, was none').waitFor();
    t.must((await t.api('GET', '/api/mappings/guests')).when === 'payload.guestCount > 10', 'it is not stored');
    await t.page.getByRole('button', { name: 'Add target' }).click();
    await t.eventually('two targets', async () => (await t.page.locator('#targets fieldset').count()) === 2);
    await t.page.getByRole('button', { name: 'Remove target' }).last().click();
    t.must((await t.page.locator('#targets fieldset').count()) === 1, 'the target is there still');
    await t.page.getByRole('button', { name: 'Delete…' }).click();
    const dialog = t.page.locator('dialog#delete-mapping');
    t.must((await dialog.innerText()).includes('sim-webhook'), 'the dialog does not say what it does');
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await t.page.getByText('The mapping guests is deleted').waitFor();
  },

  'the audit tells who did that': async (t) => {
    await t.api('PUT', '/api/mappings/audited', { pattern: 'a:b', targets: [{ integration: 'sim-webhook' }] });
    await t.api('DELETE', '/api/mappings/audited');
    await t.eventually('the records', async () => (await t.api('GET', '/api/audit?target=audited')).items.length === 2);
    await t.page.getByRole('link', { name: 'Audit' }).click();
    await t.page.getByLabel('Target').fill('audited');
    await t.eventually('two rows', async () => (await t.page.locator('#records tbody tr').count()) === 2);
    await t.page.getByLabel('Action').fill('mapping.delete');
    await t.eventually('one row', async () => (await t.page.locator('#records tbody tr').count()) === 1);
    t.must((await t.page.locator('#records').innerText()).includes('admin:admin'), 'it does not say who');
    await t.page.getByLabel('Since').fill('noon');
    await t.page.getByText('is neither an RFC 3339 time').waitFor();
  },
};
