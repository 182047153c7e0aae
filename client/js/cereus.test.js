// The client against a frontend over real sockets.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, mock, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { CereusError, Client, Code, Dictionary, MessageType, PacketType, comeBack, encodePacket } from './cereus.js';
import { data, fakeServer, push, response, zlibPush, zlibResponse } from './testing/server.js';
import { WebSocketClient } from './testing/websocket.js';

/** @type {(() => unknown)[]} */
const cleanups = [];
afterEach(async () => {
  for (const f of cleanups.splice(0).reverse()) await f();
});

const limit = 10_000;
const text = (b) => Buffer.from(b).toString();

async function serve(options) {
  const server = await fakeServer(options);
  cleanups.push(server.close);
  return server;
}

function client(url, options) {
  const c = new Client(url, { WebSocket: WebSocketClient, ...options });
  cleanups.push(() => c.close());
  return c;
}

async function until(what, condition) {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) assert.fail(`never: ${what}`);
    await new Promise((r) => setTimeout(r, 5));
  }
}

/** The next event of a name. */
const event = (c, name) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`no event ${name}`)), limit);
  const off = c.on(name, (value) => {
    off();
    clearTimeout(timer);
    resolve(value);
  });
});

/** A server that echoes, and a client connected to it. */
async function pair({ server: serverOptions, ...options } = {}) {
  const handle = (peer, m) => m.type === MessageType.REQUEST && peer.respond(m.id, { route: m.route, got: text(m.data) });
  const server = await serve({ handle, ...serverOptions });
  const c = client(server.url, options);
  const states = [];
  c.on('state', (s) => states.push(s));
  await c.connect();
  await until('the ack', () => server.peers.at(-1).acknowledged);
  return { server, c, states, peer: server.peers[0] };
}

test('handshake: what is sent, acknowledged and learnt', async () => {
  const { c, peer, states } = await pair({ user: { age: 30 }, platform: 'web' });
  assert.equal(peer.handshake.sys.platform, 'web');
  assert.match(peer.handshake.sys.libVersion, /^cereus-js-/);
  assert.equal(typeof peer.handshake.sys.clientVersion, 'string');
  assert.deepEqual(peer.handshake.user, { age: 30 });
  assert.deepEqual(states, ['connecting', 'open']);
  assert.equal(c.state, 'open');
  await c.connect(); // no second one
});

test('handshake: compressed', async () => {
  const { c } = await pair({ server: { zlib: true, dict: { 'room.chat.say': 7 } } });
  assert.equal((await c.request('room.chat.say', {})).route, 'room.chat.say');
});

test('handshake: compressed by Go, without DecompressionStream but with the option', async () => {
  let asked = 0;
  const inflate = async (b) => (asked++, (await import('node:zlib')).inflateSync(b));
  const { c } = await pair({ server: { zlib: true, dict: { a: 1, b: 2 } }, inflate });
  assert.equal(c.state, 'open');
  assert.equal(asked, 1);
});

test('handshake: refused, no reconnect', async () => {
  const server = await serve({ code: 400 });
  const c = client(server.url, { reconnect: { min: 1 } });
  const closed = event(c, 'close');
  await assert.rejects(c.connect(), { code: Code.BAD_REQUEST, metadata: { handshake: '400' } });
  assert.equal((await closed).reconnecting, false);
  assert.equal(c.state, 'closed');
});

test('handshake: another serializer', async () => {
  const server = await serve({ serializer: 'protobuf' });
  await assert.rejects(client(server.url).connect(), /speaks protobuf/);
  const raw = { name: 'protobuf', encode: (v) => Buffer.from(v), decode: (b, route) => route + ':' + text(b) };
  server.options.handle = (peer, m) => peer.socket.send(data({ type: 2, id: m.id, data: m.data }));
  const c = client(server.url, { serializer: raw });
  await c.connect();
  assert.equal(await c.request('a.b', 'x'), 'a.b:x');
});

test('handshake: none in time', async () => {
  const server = await serve({ mute: true });
  await assert.rejects(client(server.url, { connectTimeout: 30 }).connect(), { code: Code.TIMEOUT });
});

test('connect: nobody there, no WebSocket, a bad address', async () => {
  const server = await serve();
  await server.close();
  await assert.rejects(client(server.url).connect(), { code: Code.UNAVAILABLE });
  await assert.rejects(client('not an address').connect(), { code: Code.UNAVAILABLE });
  if (typeof WebSocket === 'undefined') {
    const c = client(server.url, { WebSocket: undefined });
    await assert.rejects(c.connect(), { name: 'TypeError', message: /as the option "WebSocket"/ });
    assert.equal(c.state, 'closed');
  }
});

test('connect: given up by close', async () => {
  const server = await serve({ mute: true });
  const c = client(server.url);
  const connecting = c.connect();
  assert.equal(connecting, c.connect());
  await until('a handshake', () => server.peers[0]?.handshake);
  c.close();
  await assert.rejects(connecting, { code: Code.CLOSED });
  assert.equal(c.state, 'closed');
});

test('request and response, also raw, empty and through the dictionary', async () => {
  const { c, peer } = await pair({ server: { dict: { 'room.chat.say': 300 } } });
  assert.deepEqual(await c.request('room.chat.say', { text: 'hé' }), { route: 'room.chat.say', got: '{"text":"hé"}' });
  assert.equal((await c.request('a.b')).got, '');
  assert.equal((await c.request('a.b', Buffer.from('raw'))).got, 'raw');
  c.notify('a.note', { n: 1 });
  await until('the notify', () => peer.messages.length === 4);
  assert.deepEqual(peer.messages.map((m) => m.id), [1, 2, 3, 0]);
  assert.equal(peer.messages[3].type, MessageType.NOTIFY);
});

test('responses out of order, unknown, twice, empty', async () => {
  const { c, peer } = await pair({ server: { handle: () => {} } });
  const [a, b] = [c.request('a.b', 1), c.request('a.b', 2)];
  await until('both', () => peer.messages.length === 2);
  peer.respond(2, 'two');
  peer.respond(77, 'nobody');
  peer.respond(2, 'again');
  peer.socket.send(data({ type: MessageType.RESPONSE, id: 1 }));
  assert.equal(await b, 'two');
  assert.equal(await a, undefined);
  assert.equal(c.state, 'open');
});

test('error responses', async () => {
  const handle = (peer, m) => peer.fail(m.id, JSON.parse(text(m.data)));
  const { c } = await pair({ server: { handle } });
  const body = { code: 'PIT-409', msg: 'name taken', metadata: { name: 'ada' } };
  const e = await c.request('a.b', body).catch((e) => e);
  assert.ok(e instanceof CereusError && e instanceof Error);
  assert.deepEqual([e.code, e.message, e.metadata], ['PIT-409', 'name taken', { name: 'ada' }]);
  await assert.rejects(c.request('a.b', {}), { code: 'PIT-000', message: '', metadata: {} });
  await assert.rejects(c.request('a.b', null), { code: 'PIT-000' });
});

test('a response that cannot be decoded fails its request alone', async () => {
  const handle = (peer, m) => peer.socket.send(data({ type: 2, id: m.id, data: Buffer.from('{') }));
  const { c } = await pair({ server: { handle } });
  await assert.rejects(c.request('a.b', 1), { code: Code.INTERNAL });
  assert.equal(c.state, 'open');
});

test('timeouts, aborts, and late answers after them', async () => {
  const { c, peer } = await pair({ server: { handle: () => {} }, timeout: 20 });
  await assert.rejects(c.request('a.b', 1), { code: 'PIT-504', metadata: { route: 'a.b' } });
  const stop = new AbortController();
  const given = c.request('a.b', 1, { signal: stop.signal, timeout: 0 });
  stop.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
  await assert.rejects(c.request('a.b', 1, { signal: stop.signal }), /enough/);
  peer.respond(1, 'late');
  peer.respond(2, 'late');
  const third = c.request('a.b', 1, { timeout: limit });
  await until('three', () => peer.messages.length === 3);
  peer.respond(3, 'now');
  assert.equal(await third, 'now');
});

test('what cannot be sent is refused here', async () => {
  const c = client('ws://127.0.0.1:1/');
  await assert.rejects(c.request('a.b', {}), { code: Code.CLOSED });
  assert.throws(() => c.notify('a.b', {}), { code: Code.CLOSED });
  const { c: open } = await pair();
  await assert.rejects(open.request('r'.repeat(256), {}), { code: Code.BAD_REQUEST });
  await assert.rejects(open.request('a.b', new Uint8Array(1 << 24)), { code: Code.TOO_LARGE });
  assert.throws(() => open.notify('r'.repeat(256), {}), { code: Code.BAD_REQUEST });
  const loop = {};
  loop.loop = loop;
  await assert.rejects(open.request('a.b', loop), TypeError);
  assert.equal((await open.request('a.b', 1)).got, '1');
});

test('pushes: by route, also those named like events, unsubscribing', async () => {
  const { c, peer } = await pair({ server: { dict: { chat: 9 } } });
  const got = [];
  const off = c.on('chat', (v, route) => got.push([route, v]));
  c.onPush('state', (v, route) => got.push([route, v]));
  c.on('state', () => got.push('an event'));
  peer.push('chat', 1);
  peer.push('state', 2);
  peer.push('unheard', 3);
  peer.socket.send(data({ type: MessageType.PUSH, route: 'chat', data: Buffer.from('4') }, new Dictionary({ chat: 9 })));
  peer.socket.send(data({ type: MessageType.PUSH, route: '', data: Buffer.from('5') }));
  await c.request('a.b', 0);
  off();
  off();
  peer.push('chat', 5);
  await c.request('a.b', 0);
  assert.deepEqual(got, [['chat', 1], ['state', 2], ['chat', 4]]);
});

test('order is kept behind a message that has to be inflated', async () => {
  const { c, peer } = await pair({ server: { handle: () => {} } });
  const got = [];
  c.on('p', (v) => got.push(typeof v === 'string' ? v[0] : v));
  const asked = [c.request('a.b', 1), c.request('a.b', 2)];
  asked.forEach((p, i) => p.then(async () => got.push(`answer ${i + 1}`)));
  await until('both', () => peer.messages.length === 2);
  peer.socket.sendTogether([
    push('p', 1), zlibPush('p', 'x'.repeat(500_000)), push('p', 2), zlibResponse(2, 'y'.repeat(1000)), push('p', 3),
    response(1, 'z'), push('p', 4), zlibPush('p', 'w'.repeat(10)), push('p', 5),
  ]);
  await until('all', () => got.length === 9);
  assert.deepEqual(got, [1, 'x', 2, 'answer 2', 3, 'answer 1', 4, 'w', 5]);
});

test('what came before a kick or a close is delivered before it', async () => {
  for (const last of ['kick', 'close', 'junk']) {
    const { c, peer } = await pair({ server: { handle: () => {} }, reconnect: false });
    const got = [];
    c.on('p', (v) => got.push(v.length));
    c.on('kick', () => got.push('kick'));
    c.on('close', () => got.push('close'));
    const closed = event(c, 'close');
    peer.socket.send(zlibPush('p', 'x'.repeat(300_000)));
    peer.push('p', 'y');
    if (last === 'kick') peer.kick();
    if (last === 'close') peer.socket.close();
    if (last === 'junk') peer.socket.send(Buffer.from('junk'));
    await closed;
    assert.deepEqual(got, last === 'kick' ? [300_000, 1, 'kick', 'close'] : [300_000, 1, 'close']);
  }
});

test('kick: the reason, pending requests, no reconnect', async () => {
  const { c, peer, server, states } = await pair({ server: { handle: () => {} }, reconnect: { min: 1, max: 1 } });
  const pending = c.request('a.b', 1);
  const kicked = event(c, 'kick');
  const closed = event(c, 'close');
  peer.kick({ reason: 'another login' });
  assert.equal((await kicked).reason, 'another login');
  await assert.rejects(pending, { code: Code.CLOSED, message: 'kicked' });
  assert.deepEqual(await closed, { reason: 'kicked', reconnecting: false });
  await new Promise((r) => setTimeout(r, 50));
  assert.equal(server.peers.length, 1);
  assert.deepEqual(states, ['connecting', 'open', 'closed']);
  await c.connect(); // only when asked to
  const again = event(c, 'kick');
  server.peers[1].kick();
  assert.deepEqual((await again).reason, '');
});

test('the code of a close says whether to come back', async () => {
  for (const [code, reconnecting] of [[1001, true], [4000, true], [4101, true], [4201, false], [1002, false]]) {
    const { c, peer, states } = await pair({ reconnect: { min: 1, max: 1 } });
    const closed = event(c, 'close');
    peer.socket.close(code, 'why');
    const end = await closed;
    assert.deepEqual([end.code, end.reconnecting], [code, reconnecting]);
    if (reconnecting) await until('it', () => states.at(-1) === 'open');
    c.close();
  }
  const { c, peer } = await pair({ reconnect: false });
  const kicked = event(c, 'kick');
  const closed = event(c, 'close');
  peer.kick({ reason: 'banned', code: 4200 });
  assert.equal((await kicked).code, 4200);
  assert.deepEqual(await closed, { reason: 'kicked', reconnecting: false, code: 4200 });
  assert.deepEqual([4000, 4100, 4200, 1001, undefined].map(comeBack), ['later', 'at once', 'never', 'at once', 'at once']);
});

test('reconnect: state, pending requests, pushes on the new connection', async () => {
  const { c, peer, server, states } = await pair({
    server: { handle: (p, m) => m.route !== 'a.hang' && p.respond(m.id, 'ok') }, reconnect: { min: 10, max: 20 },
  });
  const got = [];
  c.on('p', (v) => got.push(v));
  const pending = c.request('a.hang', 1);
  const closed = event(c, 'close');
  await until('it', () => peer.messages.length === 1);
  peer.socket.destroy();
  await assert.rejects(pending, { code: Code.CLOSED, metadata: { route: 'a.hang' } });
  const close = await closed;
  assert.equal(close.reconnecting, true);
  assert.equal(close.error.code, Code.CLOSED);
  await assert.rejects(c.request('a.b'), { code: Code.CLOSED });
  await c.connect();
  assert.deepEqual(states, ['connecting', 'open', 'reconnecting', 'open']);
  assert.equal(await c.request('a.b', 1), 'ok');
  server.peers[1].push('p', 1);
  await until('the push', () => got.length === 1);
});

test('reconnect: while nobody is there, then at once by retry', async () => {
  const { c, server } = await pair({ reconnect: { min: 5, max: 10 } });
  let closes = 0;
  c.on('close', ({ reconnecting }) => reconnecting && closes++);
  await server.close();
  await until('several failures', () => closes >= 4);
  assert.equal(c.state, 'reconnecting');
  const again = await serve({ port: server.port });
  await until('open', () => c.state === 'open');
  assert.equal(again.peers.length, 1);
});

test('reconnect: retry does not wait', async () => {
  const { c, peer, server } = await pair({ reconnect: { min: 3_600_000, max: 3_600_000 } });
  c.retry(); // nothing while open
  const closed = event(c, 'close');
  peer.socket.destroy();
  await closed;
  c.retry();
  c.retry();
  await until('open', () => c.state === 'open');
  assert.equal(server.peers.length, 2);
});

test('reconnect: waits grow, vary, and end with the attempts', async () => {
  const waits = [];
  const { c, server } = await pair({ reconnect: { min: 4, max: 16, attempts: 5 } });
  const real = globalThis.setTimeout;
  mock.method(globalThis, 'setTimeout', (f, ms, ...rest) => {
    if (String(f).includes('#dial')) waits.push(ms);
    return real(f, ms, ...rest);
  });
  await server.close();
  await until('the end', () => c.state === 'closed');
  mock.restoreAll();
  assert.equal(waits.length, 5);
  [4, 8, 16, 16, 16].forEach((most, i) => assert.ok(waits[i] >= most / 2 && waits[i] <= most, `wait ${i}: ${waits[i]}`));
});

test('reconnect: close ends it, also from a listener', async () => {
  const { c, peer, server, states } = await pair({ reconnect: { min: 1, max: 1 } });
  c.on('error', () => c.close());
  peer.socket.destroy();
  await until('closed', () => c.state === 'closed');
  await new Promise((r) => setTimeout(r, 50));
  assert.equal(server.peers.length, 1);
  assert.deepEqual(states, ['connecting', 'open', 'closed']);
});

test('close: sockets end, requests reject, events say so', async () => {
  const { c, peer } = await pair({ server: { handle: () => {} } });
  const gone = new Promise((resolve) => (peer.socket.onclose = resolve));
  const pending = c.request('a.b', 1);
  const closed = event(c, 'close');
  c.close();
  c.close();
  await assert.rejects(pending, { code: Code.CLOSED });
  assert.deepEqual(await closed, { reason: 'closed by the client', reconnecting: false });
  await gone;
});

test('heartbeats: sent by itself, server silence noticed, any packet counts', async () => {
  const { c, peer } = await pair({ server: { heartbeat: 0.1 }, heartbeatSlack: 1000, reconnect: false });
  let heard = 0;
  c.on('p', () => (heard = Date.now()));
  const alive = setInterval(() => peer.push('p', 1), 40);
  await until('many', () => peer.heartbeats >= 15); // unasked, and for longer than silence is borne
  assert.equal(c.state, 'open');
  clearInterval(alive);
  const { error } = await event(c, 'close');
  assert.match(error.message, /silent/);
  assert.ok(Date.now() - heard >= 1150, 'not before two intervals and the slack');
  await until('the server to notice', () => peer.socket.closed);
});

test('heartbeats: overdue ones go out with the next one from the server, as in hidden tabs', async () => {
  mock.method(globalThis, 'setInterval', () => 0);
  const { peer } = await pair({ server: { heartbeat: 0.1 }, heartbeatSlack: 5000 });
  mock.restoreAll();
  peer.heartbeat();
  const beat = setInterval(() => peer.heartbeat(), 20);
  cleanups.push(() => clearInterval(beat));
  await until('answers', () => peer.heartbeats >= 2);
});

test('heartbeats: a process that slept reads what came meanwhile before it gives up', async () => {
  const { c, peer } = await pair({ server: { heartbeat: 0.1 }, heartbeatSlack: 100 });
  const pushed = event(c, 'p');
  setImmediate(() => { // behind it come the timers, before what sockets received
    peer.push('p', 1);
    const end = Date.now() + 800;
    while (Date.now() < end); // asleep
  });
  assert.equal(await pushed, 1);
  peer.push('p', 2);
  assert.equal(c.state, 'open');
});

test('heartbeats: none when the server wants none', async () => {
  for (const heartbeat of [0, -1, 1e12, 'x']) {
    const { c, peer } = await pair({ server: { heartbeat }, heartbeatSlack: 1 });
    await new Promise((r) => setTimeout(r, 20));
    assert.equal(peer.heartbeats, 0);
    assert.equal(c.state, 'open');
  }
});

test('malformed input closes with an error and reconnects', async () => {
  const bad = {
    'an unknown type': Buffer.from('09000000', 'hex'),
    'a short packet': Buffer.from('0400', 'hex'),
    'a cut packet': Buffer.from('0400000901', 'hex'),
    'two packets': Buffer.from('0300000003000000', 'hex'),
    'an ack from the server': Buffer.from('02000000', 'hex'),
    'a second handshake': encodePacket(PacketType.HANDSHAKE, Buffer.from('{"code":200}')),
    'an empty message': encodePacket(PacketType.DATA),
    'a request': data({ type: MessageType.REQUEST, id: 1, route: 'a.b' }),
    'a code without a dictionary': encodePacket(PacketType.DATA, Buffer.from('07000178', 'hex')),
    'a broken zlib stream': encodePacket(PacketType.DATA, Buffer.from('160170' + '789c00', 'hex')),
    'no zlib stream': encodePacket(PacketType.DATA, Buffer.from('160170', 'hex')),
    'a bomb': data({ type: 3, route: 'p', compressed: true, data: deflateSync(Buffer.alloc(2 << 20)) }),
    'a text': 'hello',
  };
  for (const [what, packet] of Object.entries(bad)) {
    const { c, peer } = await pair({ reconnect: { min: 1, max: 5 }, maxInflated: 1 << 20 });
    const failed = event(c, 'error');
    const closed = event(c, 'close');
    typeof packet === 'string' ? peer.socket.sendText(packet) : peer.socket.send(packet);
    peer.push('p', 'too late');
    assert.match((await failed).message, /malformed/, what);
    assert.equal((await closed).reconnecting, true, what);
    await c.connect();
    c.close();
  }
});

test('malformed handshakes fail connect', async () => {
  const bodies = ['', '{', 'null', '[]', '{"code":"200"}', '{"code":200,"sys":1}', '{"code":200,"sys":{"dict":{"a":-1}}}',
    '{"code":200,"sys":{"dict":{"a":1,"b":1}}}', '{"code":200,"sys":{"dict":5}}', Buffer.from('789c0000', 'hex')];
  for (const body of bodies) {
    const server = await serve({ mute: true });
    const c = client(server.url);
    const connecting = c.connect();
    await until('a handshake', () => server.peers[0]?.handshake);
    server.peers[0].heartbeat(); // tolerated before the handshake
    server.peers[0].socket.send(encodePacket(PacketType.HANDSHAKE, Buffer.from(body)));
    await assert.rejects(connecting, { code: Code.INTERNAL }, String(body));
    assert.equal(server.peers[0].acknowledged, false);
  }
  const server = await serve({ mute: true });
  const connecting = client(server.url).connect();
  await until('a handshake', () => server.peers[0]?.handshake);
  server.peers[0].push('p', 1);
  await assert.rejects(connecting, /before the handshake/);
});

test('a handshake with as little as possible', async () => {
  const server = await serve({ mute: true, handle: (p, m) => p.respond(m.id, 1) });
  const c = client(server.url);
  const connecting = c.connect();
  await until('a handshake', () => server.peers[0]?.handshake);
  assert.equal('user' in server.peers[0].handshake, false);
  server.peers[0].socket.send(encodePacket(PacketType.HANDSHAKE, Buffer.from('{"code":200}')));
  await connecting;
  assert.equal(await c.request('a.b', {}), 1);
});

test('pushes that cannot be decoded and listeners that throw are errors, and nothing else', async () => {
  const { c, peer } = await pair();
  const errors = [];
  const got = [];
  c.on('error', (e) => errors.push(e.message));
  c.on('p', () => { throw new Error('mine'); });
  c.on('p', (v) => got.push(v));
  peer.socket.send(data({ type: MessageType.PUSH, route: 'p', data: Buffer.from('{') }));
  peer.push('p', 1);
  await c.request('a.b', 0);
  assert.equal(errors.length, 2);
  assert.match(errors[0], /malformed/);
  assert.equal(errors[1], 'mine');
  assert.deepEqual(got, [1]);
  assert.equal(c.state, 'open');
});

test('listeners that throw when nobody listens to errors, or when those throw too', async () => {
  const { c, peer } = await pair();
  const said = mock.method(console, 'error', () => {});
  c.on('p', () => { throw new Error('mine'); });
  peer.push('p', 1);
  await c.request('a.b', 0);
  c.on('error', () => { throw new Error('mine too'); });
  peer.push('p', 1);
  await c.request('a.b', 0);
  assert.equal(said.mock.callCount(), 2);
  mock.restoreAll();
});

test('nothing keeps the process alive after close', async () => {
  const { spawn } = await import('node:child_process');
  const server = await serve({ heartbeat: 30 });
  const code = `
    import { Client } from ${JSON.stringify(new URL('./cereus.js', import.meta.url).href)};
    import { WebSocketClient } from ${JSON.stringify(new URL('./testing/websocket.js', import.meta.url).href)};
    const c = new Client(${JSON.stringify(server.url)}, { WebSocket: WebSocketClient });
    await c.connect();
    c.close();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
  const timer = setTimeout(() => child.kill('SIGKILL'), 2 * limit);
  const [exit] = await once(child, 'exit');
  clearTimeout(timer);
  assert.equal(exit, 0);
});
