// Charts: elements with data-chart, drawn by uPlot and kept as the live parts change.
'use strict';
(() => {
  const drawn = new Map(); // by id
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const token = (name) => {
    const probe = document.createElement('i');
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  };
  const clockOf = (span) => (v) => new Date(v * 1000).toLocaleString([], { ...(span > 86400 && { day: 'numeric', month: 'short' }), ...(span <= 604800 && { hour: '2-digit', minute: '2-digit', hour12: false }) });
  const end = () => Math.ceil(Date.now() / 60000) * 60;
  const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]]; // lines are told apart without their colours, too

  function draw(el) {
    const c = JSON.parse(el.dataset.chart);
    const data = [c.times, ...c.lines.map((l) => l.values)];
    if (c.goal) data.push(c.times.map(() => c.goal));
    const width = el.clientWidth;
    const clock = clockOf(c.span);
    const was = drawn.get(el.id);
    if (was && was.root.parentNode === el && was.lines === c.lines.length) {
      if (was.text !== el.dataset.chart) was.plot.setData(data);
      was.text = el.dataset.chart;
      return;
    }
    was?.plot.destroy();
    const colors = ['--accent', '--good', '--warn', '--bad'].map(token);
    const axis = { stroke: token('--dim'), grid: { stroke: token('--line'), width: 1 }, ticks: { stroke: token('--line'), width: 1 }, font: '12px system-ui' };
    const show = (v) => (v == null ? '–' : `${v >= 100 ? Math.round(v) : Math.round(v * 10) / 10} ${c.unit}`);
    const series = c.lines.map((l, i) => ({
      label: l.name, stroke: colors[i % 4], width: 1.5, dash: dashes[i % 4], points: { size: 4, fill: colors[i % 4], ...(c.times.length < 40 && { show: true }) }, value: (_, v) => show(v),
    }));
    if (c.goal) series.push({ label: 'objective', stroke: token('--bad'), width: 1, dash: [4, 4], points: { show: false }, value: (_, v) => show(v) });
    const plot = new uPlot({
      width, height: 220, scales: { x: { range: () => [end() - c.span, end()] } }, cursor: { y: false }, legend: { live: true },
      series: [{ value: (_, v) => (v == null ? '–' : clock(v)) }, ...series],
      axes: [{ ...axis, values: (_, all) => all.map(clock) }, { ...axis, size: 64, values: (_, all) => all.map((v) => `${v} ${c.unit}`) }],
    }, data, el);
    plot.root.dataset.keep = '';
    drawn.set(el.id, { plot, root: plot.root, text: el.dataset.chart, lines: c.lines.length });
  }

  const all = () => { for (const el of document.querySelectorAll('[data-chart]')) draw(el); };
  const again = () => { for (const [, one] of drawn) one.plot.destroy(); drawn.clear(); all(); };
  document.addEventListener('live', all);
  document.addEventListener('htmx:afterSettle', all);
  dark.addEventListener('change', again);
  new ResizeObserver(() => {
    for (const [id, one] of drawn) {
      const el = document.getElementById(id);
      if (el && el.clientWidth !== one.plot.width) one.plot.setSize({ width: el.clientWidth, height: 220 });
    }
  }).observe(document.documentElement);
  all();
})();
