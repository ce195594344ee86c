// The live tail of a channel: a client of the WebSocket edge, in Centrifuge's JSON protocol (docs/edge.md).
'use strict';
(() => {
  const box = document.getElementById('tail');
  const list = document.getElementById('tail-events');
  const status = document.getElementById('tail-state');
  const hold = document.getElementById('tail-stop');
  const most = 200; // events that are kept on the page
  const pause = 250; // ms that the list rests after it was drawn, however many events come
  const { tail: channel, socket: path, token: tokenURL } = box.dataset;
  let socket = null;
  let since = null; // {offset, epoch}: where to go on after a broken connection
  let came = []; // what is not in the list yet
  let held = false; // the list is
  let drawn = 0; // when it was
  let drawing;
  let wait = 500;
  let ids = 0;
  let timer;
  let renewal;

  const say = (text) => { if (status.textContent !== text) status.textContent = text; };

  function node(name, text, className) {
    const el = document.createElement(name);
    if (text) el.textContent = text;
    if (className) el.className = className;
    return el;
  }

  // show has an event drawn: at once, or with those that come while the list rests.
  function show(pub) {
    since.offset = pub.offset || since.offset;
    came.push(pub);
    if (came.length > most) came.shift();
    drawing ||= setTimeout(draw, Math.max(0, drawn + pause - Date.now()));
  }

  function draw() {
    clearTimeout(drawing);
    drawing = 0;
    drawn = Date.now();
    hold.textContent = held ? `Go on (${came.length})` : 'Hold';
    if (held || !came.length) return;
    list.prepend(...came.map(line).reverse());
    came = [];
    while (list.children.length > most) list.lastChild.remove();
    document.getElementById('tail-none')?.remove();
  }

  // line is an event in the list.
  function line(pub) {
    const e = pub.data || {};
    const item = node('li');
    const details = node('details');
    const summary = node('summary');
    const time = node('time');
    time.dateTime = e.acceptedAt || '';
    time.textContent = new Date(e.acceptedAt).toLocaleTimeString();
    const about = node('span', `${pub.offset || ''} · ${e.source || ''} · `, 'dim');
    about.append(time);
    summary.append(node('strong', e.type || '(cannot be read)'), about);
    const text = node('pre', JSON.stringify(e.payload, null, 2));
    text.tabIndex = 0;
    details.append(summary, text);
    item.append(details);
    return item;
  }

  async function token() {
    const answer = await fetch(tokenURL, { headers: { Accept: 'text/plain' } });
    if (answer.ok) return answer.text();
    const why = answer.status === 401 ? 'The session has ended; sign in again.' : ((await answer.json().catch(() => ({}))).detail || `Status ${answer.status}`);
    throw new Error(why);
  }

  function send(command) {
    ids += 1;
    socket?.send(JSON.stringify({ id: ids, ...command }));
  }

  function again(why) {
    clearTimeout(renewal);
    clearTimeout(timer);
    socket = null;
    say(why);
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, 10000);
  }

  function take(reply) {
    if (reply.error) {
      say(`Refused: ${reply.error.message}`);
      socket.close();
      return;
    }
    if (reply.connect) {
      const { expires, ttl } = reply.connect;
      if (expires) renewal = setTimeout(renew, ttl * 500);
      send({ subscribe: since ? { channel, recover: true, ...since } : { channel } });
    } else if (reply.subscribe) {
      const s = reply.subscribe;
      const missed = since && s.was_recovering && !s.recovered;
      since = { offset: s.offset || 0, epoch: s.epoch || '' };
      for (const pub of s.publications || []) show(pub);
      wait = 500;
      say(missed ? 'Live; some events were missed, see the history' : 'Live');
    } else if (reply.refresh?.expires) {
      renewal = setTimeout(renew, reply.refresh.ttl * 500);
    } else if (reply.push?.pub) {
      show(reply.push.pub);
    } else if (reply.push?.unsubscribe) {
      say('The node has ended the subscription.');
      socket.close();
    } else if (!reply.id && !reply.push) {
      socket.send('{}'); // a ping
    }
  }

  async function renew() {
    try {
      send({ refresh: { token: await token() } });
    } catch (e) {
      socket?.close();
      say(e.message);
    }
  }

  async function connect() {
    if (document.hidden || !document.contains(box)) return;
    say('Connecting…');
    let pass;
    try {
      pass = await token();
    } catch (e) {
      again(e.message);
      return;
    }
    const url = new URL(path, location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const mine = new WebSocket(url);
    socket = mine;
    let open = false;
    mine.addEventListener('open', () => { open = true; send({ connect: { token: pass, name: 'admin' } }); });
    mine.addEventListener('message', (m) => { for (const line of m.data.split('\n')) if (line) take(JSON.parse(line)); });
    mine.addEventListener('close', (e) => {
      if (socket !== mine) return;
      again(open ? `Connecting again… ${e.reason}` : `The WebSocket edge refuses this page. Is ${location.origin} among ws.origins?`);
    });
  }

  hold.addEventListener('click', () => {
    if (!held) draw(); // what came until now
    held = !held;
    hold.setAttribute('aria-pressed', String(held));
    draw();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !socket) connect();
  });
  window.addEventListener('pagehide', () => { const s = socket; socket = null; s?.close(); });
  connect();
})();
