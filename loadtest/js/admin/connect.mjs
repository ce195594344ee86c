// Connecting a vendor: chosen, entered, tested, mapped, previewed, switched on.
export const pages = [
  { name: 'connect', path: '/admin/connect' },
  { name: 'connect-slack', path: '/admin/connect?vendor=slack' },
  { name: 'connect-steps', path: '/admin/connect/sim-webhook' },
];

export const flows = {
  'a vendor is connected by the form': async (t) => {
    await t.api('POST', '/api/channels/supplier:dashboard:77/publish', { type: 'timeline.updated', payload: { coupleId: 'c7', ceremonyTime: '2027-06-12T16:00:00+02:00' } });
    await t.page.getByRole('link', { name: 'Connect' }).click();
    await t.page.getByRole('link', { name: 'Signed webhook' }).click();
    await t.page.getByLabel('Name', { exact: true }).fill('By the form');
    await t.page.getByLabel('Webhook address').fill('nowhere');
    await t.page.getByText('must begin with https://').waitFor();
    const settings = await (await fetch(`${t.vendor('webhook').url}/_sim/settings`)).json();
    await t.page.getByLabel('Webhook address').fill(settings.integration.settings.url);
    await t.page.getByLabel('Signing secret').fill(settings.secrets.signing);
    await t.page.getByLabel('Category').selectOption('client-communications'); // which no mapping means yet
    await t.page.getByRole('button', { name: 'Go on to the test' }).click();
    await t.page.getByRole('heading', { name: 'By the form' }).waitFor();
    await t.page.getByRole('button', { name: 'Test integration' }).click();
    await t.page.getByText('The vendor took the sample').waitFor();
    await t.page.getByLabel('Channels', { exact: true }).pressSequentially('supplier:dashboard:77');
    await t.page.locator('#preview').getByText('timeline.updated').first().waitFor();
    await t.page.getByRole('button', { name: 'Map these channels' }).click();
    await t.page.getByText('Mapped by').waitFor();
    await t.api('POST', '/api/channels/supplier:dashboard:77/publish', { id: 'by-form-1', type: 'timeline.updated', payload: { coupleId: 'c7', ceremonyTime: '2027-06-12T17:00:00+02:00' } });
    await t.page.getByRole('button', { name: 'Switch on' }).click();
    await t.page.locator('#health').getByText('Healthy').waitFor();
    const id = new URL(t.page.url()).pathname.split('/').pop();
    await t.eventually('what waited to arrive', async () => (await t.api('GET', `/api/deliveries?integration=${id}`)).items.length === 1);
    await t.api('DELETE', `/api/integrations/${id}`);
  },
};
