// The nodes. That a node is drained and removed is for the tests of clusters.
export const pages = [{ name: 'cluster', path: '/admin/cluster', ready: '#cluster' }];

export const flows = {
  'a node that is alone cannot be drained': async (t) => {
    await t.open('/admin/cluster');
    const row = t.page.locator('#node-e2e');
    t.must((await row.innerText()).includes('All of it, alone'), await row.innerText());
    t.must(await t.page.locator('button.danger').count() === 0, 'there is something to do that cannot be done');
  },
};
