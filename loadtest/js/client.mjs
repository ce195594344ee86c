// A centrifuge client that a Go test drives: it reads commands as JSON lines from stdin and writes
// what happens as JSON lines to stdout. Only the unmodified SDK speaks to the server.
//
//   {"op":"connect","url":…,"token":…?,"renew":true?}   token_wanted asks for one where renew is set
//   {"op":"token","token":…}                             answers token_wanted
//   {"op":"subscribe","channel":…,"since":{offset,epoch}?}
//   {"op":"unsubscribe","channel":…}
//   {"op":"publish","ref":…,"channel":…,"data":…}        answered by done
//   {"op":"history","ref":…,"channel":…,"limit":…,"reverse":…?,"since":…?}
//   {"op":"rpc","ref":…} {"op":"send","ref":…} {"op":"presence","ref":…,"channel":…}
//   {"op":"drop"}      ends the TCP connection, as a lost network does
//   {"op":"pause"} {"op":"resume"}   stops reading the socket, and reads on
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { Centrifuge } from 'centrifuge';

let socket; // the SDK's current one

class TrackedWebSocket extends WebSocket {
  constructor(...args) {
    super(...args);
    socket = this;
  }
}

const say = (event, fields = {}) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n');

let client;
const subs = new Map();
const wanted = [];

function connect({ url, token, renew }) {
  client = new Centrifuge(url, {
    websocket: TrackedWebSocket,
    token,
    getToken: renew
      ? () => new Promise((resolve) => { wanted.push(resolve); say('token_wanted'); })
      : null,
    minReconnectDelay: 20,
    maxReconnectDelay: 200,
  });
  client.on('connecting', (c) => say('connecting', { code: c.code, reason: c.reason }));
  client.on('connected', (c) => say('connected', { client: c.client }));
  client.on('disconnected', (c) => say('disconnected', { code: c.code, reason: c.reason }));
  client.on('error', (e) => say('error', { type: e.type, code: e.error.code, reason: e.error.message }));
  client.connect();
}

function subscribe({ channel, since }) {
  const sub = client.newSubscription(channel, { since, minResubscribeDelay: 20, maxResubscribeDelay: 200 });
  subs.set(channel, sub);
  sub.on('subscribed', (c) => say('subscribed', {
    channel,
    recoverable: c.recoverable,
    positioned: c.positioned,
    was_recovering: c.wasRecovering,
    recovered: c.recovered,
    position: c.streamPosition,
  }));
  sub.on('subscribing', (c) => say('subscribing', { channel, code: c.code, reason: c.reason }));
  sub.on('unsubscribed', (c) => say('unsubscribed', { channel, code: c.code, reason: c.reason }));
  sub.on('error', (e) => say('error', { channel, type: e.type, code: e.error.code, reason: e.error.message }));
  sub.on('publication', (c) => say('publication', { channel: c.channel, offset: c.offset, data: c.data }));
  sub.subscribe();
}

async function answer(ref, promise) {
  try {
    say('done', { ref, result: await promise });
  } catch (e) {
    say('failed', { ref, code: e.code, reason: e.message });
  }
}

const ops = {
  connect,
  subscribe,
  token: ({ token }) => wanted.shift()(token),
  unsubscribe: ({ channel }) => subs.get(channel).unsubscribe(),
  publish: ({ ref, channel, data }) => answer(ref, client.publish(channel, data)),
  history: ({ ref, channel, limit, reverse, since }) => answer(ref, client.history(channel, { limit, reverse, since })),
  rpc: ({ ref }) => answer(ref, client.rpc('ask', {})),
  send: ({ ref }) => answer(ref, client.send({})),
  presence: ({ ref, channel }) => answer(ref, client.presence(channel)),
  drop: () => socket.terminate(),
  pause: () => socket.pause(),
  resume: () => socket.resume(),
};

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    ops[command.op](command);
  })
  .on('close', () => process.exit(0));

say('ready', { node: process.version });
