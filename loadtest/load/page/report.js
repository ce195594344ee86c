
(() => {
  const series = report.series;
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = ['#3b7dd8', '#d9822b', '#2f9e6e', '#b5519c', '#8a6d3b', '#d64545', '#5c6bc0', '#00a0a8', '#9aa82a', '#8d8d95'];
  const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
  const minutes = text => days.indexOf(text.slice(0, 3)) * 1440 + +text.slice(4, 6) * 60 + +text.slice(7, 9);
  const [begins, ends] = report.story.map(minutes);
  const two = n => String(n).padStart(2, '0');
  // The story has ended when the run waits for what is still under way.
  const story = seconds => {
    if (seconds > report.lasts) return '+' + Math.round(seconds - report.lasts) + ' s';
    const m = Math.round(begins + (ends - begins) * seconds / report.lasts);
    return days[Math.floor(m / 1440) % 7] + ' ' + two(Math.floor(m / 60) % 24) + ':' + two(m % 60);
  };
  const number = n => n == null ? '–' : n >= 100 ? Math.round(n).toLocaleString('en') : +n.toPrecision(3) + '';
  const ms = n => n == null ? '–' : n >= 1000 ? +(n / 1000).toPrecision(3) + ' s' : +n.toPrecision(3) + ' ms';
  const percent = n => n == null ? '–' : Math.floor(1e5 * n + 1e-6) / 1e3 + ' %'; // never up: what is not all is not 100 %
  const known = values => values.map(v => v < 0 ? null : v);

  const element = (parent, tag, text, kind) => {
    const e = document.createElement(tag);
    if (text != null) e.textContent = text;
    if (kind) e.className = kind;
    return parent.appendChild(e);
  };

  const tiles = document.getElementById('tiles');
  const tile = (value, label, kind) => {
    const t = element(tiles, 'div', null, 'tile');
    element(t, 'b', value, kind);
    element(t, 'span', label);
  };
  const d = report.deliveries, c = report.publishes;
  tile(percent(d.success), 'of ' + d.due.toLocaleString('en') + ' deliveries', d.success >= .995 ? 'good' : 'bad');
  tile(d.due ? percent(d.inTime / d.due) : '–', 'within 5 s of the intended time');
  tile(c.lost, 'lost', c.lost ? 'bad' : 'good');
  tile(c.reordered, 'reordered', c.reordered ? 'bad' : 'good');
  tile(c.wrong, 'otherwise wrong', c.wrong ? 'bad' : 'good');
  tile(c.duplicates, 'repeated around a fault');
  tile(d.dead.toLocaleString('en'), 'dead letters');
  tile(c.accepted.toLocaleString('en'), 'of ' + report.planned.toLocaleString('en') + ' events accepted');
  tile(ms(report.accept.p99), 'to publish, p99');
  tile(ms(report.live.p99), 'to clients, p99');
  tile(report.clients.seen.toLocaleString('en'), 'events at ' + report.clients.connections.toLocaleString('en') + ' clients');
  if (report.clickHouse) {
    tile(percent(report.clickHouse.success), (report.clickHouse.agrees ? 'agrees' : 'differs') + ': success in ClickHouse, of what ended', report.clickHouse.agrees ? 'good' : 'bad');
  }
  for (const death of report.deaths || []) {
    tile(death.back < 0 ? 'never' : ms(1000 * death.back), death.clients.toLocaleString('en') + ' clients back after: ' + death.about, death.back < 0 ? 'bad' : '');
  }

  const mean = values => { const told = values.filter(v => v >= 0); return told.length ? told.reduce((a, b) => a + b) / told.length : null; };
  const busy = mean(series.machine);
  if (busy != null) {
    const ours = mean(series.cpu) + Object.values(series.nodes).reduce((sum, n) => sum + (mean(n.cpu) || 0), 0);
    tile(+busy.toFixed(2) + ' of ' + report.processors, 'processors busy on average, ' + +ours.toFixed(2) + ' of them by nodes and load');
  }

  const rows = (id, list) => {
    const body = document.getElementById(id);
    for (const cells of list) {
      const row = element(body, 'tr');
      cells.forEach(cell => element(row, 'td', cell));
    }
  };
  const vendors = Object.keys(report.vendors).sort();
  rows('quantiles', [['an answer to the publisher', report.accept], ['a client', report.live], ...vendors.map(v => [v, report.vendors[v]])]
    .map(([name, q]) => [name, q.count.toLocaleString('en'), ms(q.p50), ms(q.p90), ms(q.p99), ms(q.p999), ms(q.max)]));
  rows('faults', (report.faults || []).map(f => [f.what, story(f.from), story(f.to), number(f.from) + ' to ' + number(f.to)]));

  const shades = {
    hooks: {
      drawClear: u => {
        u.ctx.save();
        u.ctx.fillStyle = style('--shade');
        for (const f of report.faults || []) {
          const from = Math.max(u.valToPos(f.from, 'x', true), u.bbox.left);
          const to = Math.min(u.valToPos(f.to, 'x', true), u.bbox.left + u.bbox.width);
          if (to > from) u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
        }
        u.ctx.restore();
      },
    },
  };
  const marks = at => ({
    hooks: {
      draw: u => {
        const y = u.valToPos(at, 'y', true);
        u.ctx.save();
        u.ctx.strokeStyle = style('--mark');
        u.ctx.setLineDash([6, 4]);
        u.ctx.beginPath();
        u.ctx.moveTo(u.bbox.left, y);
        u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
        u.ctx.stroke();
        u.ctx.restore();
      },
    },
  });

  const charts = document.getElementById('charts');
  let drawn = [];
  // lines: [label, values, {stepped, dash, scale, width}]
  const chart = (title, lines, { format = number, log = false, range, plugins = [], right } = {}) => {
    const card = element(charts, 'div', null, 'chart');
    element(card, 'h3', title);
    const box = element(card, 'div');
    const axis = { stroke: style('--quiet'), grid: { stroke: style('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
    const scales = { x: { time: false }, y: { distr: log ? 3 : 1, range: range || ((u, low, high) => log ? [Math.max(.1, low || 1), Math.max(10, high || 10)] : [0, Math.max(1, (high || 0) * 1.08)]) } };
    if (log) scales.y.range = (u, low, high) => [10 ** Math.floor(Math.log10(low || 1)), 10 ** Math.ceil(Math.log10(Math.max(10, high || 10)))];
    const axes = [
      { ...axis, size: 28, space: 74, values: (u, at) => at.map(story) },
      { ...axis, size: 58, space: 26, values: (u, at) => at.map(v => v == null ? '' : format(v)) },
    ];
    if (right) {
      scales.right = { range: (u, low, high) => [0, Math.max(1, (high || 0) * 1.08)] };
      axes.push({ ...axis, scale: 'right', side: 1, size: 58, grid: { show: false }, values: (u, at) => at.map(v => right(v)) });
    }
    const u = new uPlot({
      width: 300, height: 240, scales, axes, plugins: [shades, ...plugins], cursor: { sync: { key: 'season' }, points: { size: 6 } },
      series: [{ label: 'at', value: (u, v) => v == null ? '–' : story(v) }, ...lines.map(([label, , how = {}], i) => ({
        label, stroke: how.colour || palette[i % palette.length], width: how.width || 1.5, dash: how.dash, scale: how.scale || 'y', points: { show: false }, spanGaps: true,
        paths: how.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
        value: (u, v) => v == null ? '–' : (how.scale === 'right' ? right : format)(v),
      }))],
    }, [series.seconds, ...lines.map(([, values]) => known(values))], box);
    drawn.push([u, box]);
  };
  const perVendor = (key, how) => Object.keys(series.vendors).sort().filter(v => series.vendors[v][key])
    .map((v, i) => [v, series.vendors[v][key], { colour: palette[i % palette.length], ...how }]);
  const perNode = key => Object.keys(series.nodes).sort().map(n => [n, series.nodes[n][key]]);

  const draw = () => {
    drawn.forEach(([u]) => u.destroy());
    drawn = [];
    charts.textContent = '';
    chart('Arrivals, events a second', [['planned', series.planned, { width: 1, dash: [4, 3] }], ['accepted', series.accepted], ['not taken', series.notTaken, { colour: palette[5] }]]);
    const worst = Math.min(...known(series.success).filter(v => v != null), .99);
    chart('Delivered in the end, against 99.5 %', [['of what was intended then', series.success, { width: 2, colour: palette[2] }]],
      { format: percent, range: () => [worst - (1 - worst) / 10, 1 + (1 - worst) / 10], plugins: [marks(.995)] });
    chart('Delivered within 5 s, and calls that vendors took', [['delivered within 5 s', series.inTime], ['calls taken', series.attempts, { width: 1, colour: palette[9] }]],
      { format: percent, range: () => [0, 1.05] });
    chart('Deliveries, p50 by vendor', perVendor('p50'), { format: ms, log: true });
    chart('Deliveries, p99 by vendor', perVendor('p99'), { format: ms, log: true });
    chart('Integrations whose breaker is open, by vendor', perVendor('open', { stepped: true }));
    chart('Deliveries that wait, by vendor', perVendor('waiting'));
    chart('Fan-out: events at clients a second, and subscriptions that stand', [['events', series.seen], ['subscriptions', series.clients, { scale: 'right', stepped: true }]], { right: number });
    chart('From the intended time to clients', [['p50', series.liveP50], ['p99', series.liveP99]], { format: ms, log: true });
    chart('Calls to vendors: a second, and refused', [['calls', series.calls], ['not taken', series.refused, { colour: palette[5] }]]);
    chart('Calls under way, by node', perNode('inFlight'));
    chart('Processors kept busy', [...perNode('cpu'), ['load and vendors', series.cpu, { dash: [4, 3], colour: palette[8] }],
      ['the whole machine, of ' + report.processors, series.machine, { dash: [2, 3], colour: palette[9] }]]);
    chart('Resident memory', perNode('memory'), { format: v => number(v) + ' MB' });
    fit();
  };
  // The columns are known when all charts are there.
  const fit = () => drawn.forEach(([u, box]) => u.setSize({ width: box.clientWidth, height: 240 }));
  draw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  let late;
  addEventListener('resize', () => {
    clearTimeout(late);
    late = setTimeout(fit, 80);
  });
})();
