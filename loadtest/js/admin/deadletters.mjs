// Dead letters: found, looked at, replayed and discarded.
const dead = async (t, query = '') => (await t.api('GET', `/api/dead-letters?${query}`)).items;

// die has an integration refuse so many events for good.
async function die(t, vendor, channel, count) {
  const integration = `sim-${vendor}`;
  const before = (await dead(t, `integration=${integration}`)).length;
  const sim = t.vendor(vendor);
  await sim.fail({ status: 422 });
  for (let i = 0; i < count; i++) {
    await t.api('POST', `/api/channels/${channel}/publish`, { type: 'timeline.updated', payload: { coupleId: `c${i}`, ceremonyTime: '2027-06-12T16:00:00+02:00' } });
  }
  await t.eventually('the dead letters', async () => (await dead(t, `integration=${integration}`)).length >= before + count);
  await sim.mend();
}

const page = async (t) => {
  if ((await dead(t, 'integration=sim-webhook')).length === 0) await die(t, 'webhook', 'supplier:dashboard:42', 3);
  return '/admin/dead-letters';
};

export const pages = [
  { name: 'dead-letters', path: page, ready: '#letters table' },
  { name: 'dead-letter', path: async (t) => { await page(t); return `/admin/dead-letters/${(await dead(t, 'integration=sim-webhook'))[0].seq}`; }, ready: '#attempts-title' },
];

export const flows = {
  'a dead letter is inspected and replayed, and the vendor gets it': async (t) => {
    await die(t, 'webhook', 'supplier:dashboard:90', 1);
    const before = (await t.vendor('webhook').received()).length;
    await t.page.getByRole('link', { name: 'Dead letters' }).click();
    await t.page.getByLabel('Channel').fill('supplier:dashboard:90');
    await t.eventually('one row', async () => (await t.page.locator('#letters tbody tr').count()) === 1);
    await t.page.locator('#letters tbody a.title').click();
    await t.page.getByText('The vendor answered 422').waitFor();
    await t.page.getByRole('button', { name: 'Replay…' }).click();
    const dialog = t.page.locator('dialog#replay');
    t.must((await dialog.innerText()).includes('same idempotency id'), 'the dialog does not say what it does');
    await dialog.getByRole('button', { name: 'Replay' }).click();
    await t.page.getByText('It is on its way again').waitFor();
    await t.eventually('the vendor to have it', async () => (await t.vendor('webhook').received()).length > before);
    t.must((await dead(t, 'channel=supplier:dashboard:90')).length === 0, 'it is a dead letter still');
  },

  'all that match are replayed, after what it does is said, and one is discarded': async (t) => {
    await die(t, 'webhook', 'supplier:dashboard:91', 4);
    const before = (await t.vendor('webhook').received()).length;
    await t.open('/admin/dead-letters?channel=supplier:dashboard:91');
    await t.page.locator('#letters tbody input').first().check();
    await t.page.getByRole('button', { name: 'Discard chosen…' }).click();
    await t.page.locator('dialog#discard-chosen').getByRole('button', { name: 'Discard' }).click();
    await t.page.getByText('1 dead letter is discarded').waitFor();
    await t.eventually('three rows, live', async () => (await t.page.locator('#letters tbody tr').count()) === 3);
    await t.page.getByRole('checkbox', { name: 'Choose all of this page' }).check();
    await t.page.getByRole('button', { name: 'Replay chosen…' }).click();
    await t.page.getByRole('heading', { name: 'Replay 3 dead letters?' }).waitFor();
    await t.page.getByRole('button', { name: 'Replay all that match…' }).click();
    await t.page.locator('#plan').getByText('3 to sim-webhook, which').waitFor();
    await t.page.screenshot({ path: `${t.shots}/replay-plan.png`, fullPage: true, caret: 'initial' });
    await t.page.locator('#plan').getByRole('button', { name: 'Replay 3' }).click();
    await t.page.getByText('3 of 3 are on the way again').waitFor();
    await t.eventually('no rows, live', async () => (await t.page.locator('#letters tbody tr').count()) === 0);
    await t.eventually('the vendor to have three', async () => (await t.vendor('webhook').received()).length >= before + 3);
  },
};
