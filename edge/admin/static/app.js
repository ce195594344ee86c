// What the pages do in the browser beside htmx: live parts, dialogs, times, keys. Loaded by all pages.
'use strict';
(() => {
  const $ = (selector) => document.querySelector(selector);
  const state = () => $('#live-state');

  // ---- times: how long ago ----
  const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });
  const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
  function ago(root) {
    for (const el of root.querySelectorAll('time[datetime]')) {
      const at = Date.parse(el.dateTime);
      if (Number.isNaN(at)) continue;
      const seconds = Math.round((at - Date.now()) / 1000);
      const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) || ['second', 1];
      const text = relative.format(Math.trunc(seconds / size), unit);
      if (el.textContent !== text) el.textContent = text;
    }
  }

  // What somebody has opened stays open, and what a script has drawn stays there.
  Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => !(node.dataset && 'keep' in node.dataset);
  // What is chosen stays chosen.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, el) => !(name === 'open' && el.matches('details, dialog') || name === 'checked' && el.matches('[data-kept]'));

  // ---- live: one stream for the page, closed while nobody looks at it ----
  let source = null;
  let address = '';

  function say(text) {
    const el = state();
    if (el && el.textContent !== text) el.textContent = text;
  }

  function swap(id, html) {
    const old = document.getElementById(id);
    if (!old) return;
    Idiomorph.morph(old, html, { morphStyle: 'outerHTML', ignoreActiveValue: document.activeElement.matches('input, select, textarea') });
    const now = document.getElementById(id);
    if (now) {
      htmx.process(now);
      ago(now);
      now.dispatchEvent(new CustomEvent('live', { bubbles: true }));
    }
  }

  function listen() {
    const wanted = document.hidden ? '' : ($('#content')?.dataset.live || '');
    if (wanted === address && source) return;
    source?.close();
    source = null;
    address = wanted;
    if (!wanted) return;
    source = new EventSource(wanted);
    const seen = new Set();
    const part = (id) => {
      if (seen.has(id)) return;
      seen.add(id);
      source.addEventListener(id, (e) => swap(id, e.data));
    };
    for (const el of document.querySelectorAll('#pages, #content [id]')) part(el.id);
    source.addEventListener('trouble', (e) => say(e.data ? `What is shown may be old: ${e.data}` : ''));
    source.addEventListener('signed-out', () => location.reload());
    source.addEventListener('open', () => say(''));
    source.addEventListener('error', () => {
      say('Connecting again…');
      if (source?.readyState === EventSource.CLOSED) setTimeout(again, 3000); // it was refused, and does not try by itself
    });
  }

  // again begins a stream anew, unless the session has ended.
  async function again() {
    const r = await fetch(location.href, { redirect: 'manual' }).catch(() => null);
    if (r?.type === 'opaqueredirect') location.reload();
    else if (source?.readyState === EventSource.CLOSED) {
      source = null;
      listen();
    }
  }

  // ---- dialogs and notices ----
  document.addEventListener('click', (e) => {
    const open = e.target.closest('[data-dialog]');
    if (open) document.getElementById(open.dataset.dialog)?.showModal();
    if (e.target.closest('[data-close]')) e.target.closest('dialog')?.close();
    e.target.closest('[data-dismiss]')?.closest('.notice')?.remove();
    const remove = e.target.closest('[data-remove]');
    if (remove) {
      const form = remove.form;
      remove.closest('fieldset').remove();
      form.dispatchEvent(new Event('input', { bubbles: true }));
    }
    const copy = e.target.closest('[data-copy]');
    if (copy) navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent).then(() => { copy.textContent = 'Copied'; });
  });
  document.addEventListener('change', (e) => {
    const all = e.target.dataset.all;
    if (all) for (const one of e.target.form.querySelectorAll(`[name="${all}"]`)) one.checked = e.target.checked;
  });
  document.addEventListener('htmx:afterRequest', (e) => {
    if (e.detail.successful) e.detail.elt.closest('dialog')?.close();
  });

  // ---- forms that are checked while one types: what is wrong is shown of fields that were touched ----
  let checking;
  const touch = (el) => el?.closest('.field')?.classList.add('touched');
  document.addEventListener('input', (e) => {
    const form = e.target.closest('form[data-check]');
    if (!form) return;
    touch(e.target);
    clearTimeout(checking);
    checking = setTimeout(() => htmx.ajax('POST', form.dataset.check, { source: form, target: form.dataset.into || form, swap: form.dataset.into ? 'innerHTML' : 'none' }), 350);
  });
  document.addEventListener('submit', (e) => {
    for (const el of e.target.querySelectorAll('.field')) touch(el);
  });
  document.addEventListener('htmx:oobAfterSwap', () => {
    for (const el of document.querySelectorAll('[data-for]')) {
      document.getElementById(el.dataset.for)?.setAttribute('aria-invalid', el.textContent && el.closest('.touched') ? 'true' : 'false');
    }
  });

  // ---- keys: "/" goes to the search ----
  document.addEventListener('keydown', (e) => {
    if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input, select, textarea')) return;
    const field = $('[data-key="/"]');
    if (field) {
      e.preventDefault();
      field.focus();
      field.select();
    }
  });

  document.addEventListener('htmx:afterSettle', (e) => { ago(e.target); listen(); });
  document.addEventListener('htmx:sendError', () => say('The node does not answer.'));
  document.addEventListener('visibilitychange', listen);
  window.addEventListener('pagehide', () => source?.close());
  window.addEventListener('pageshow', (e) => { if (e.persisted) location.reload(); });
  setInterval(() => { if (!document.hidden) ago(document); }, 1000);
  const start = () => {
    ago(document);
    listen();
    $('#pages [aria-current="page"]')?.scrollIntoView({ inline: 'center', block: 'nearest' }); // where the navigation is a strip
  };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', start);
  else start();
})();
