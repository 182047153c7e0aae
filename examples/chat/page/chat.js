// The chat of the cereus example. Whatever others wrote reaches the page through textContent only.
import { Client } from '/cereus.js';

const KEPT = 500; // messages and notes that stay on the page
const GROUP_MS = 3 * 60_000; // messages of one author that belong together
const REJOIN_MS = 2_000; // between two attempts to come back into the room
const REJOIN_ATTEMPTS = 60; // a name that a lost connection holds is free after three heartbeat intervals

const ui = new Proxy({}, { get: (_, id) => document.querySelector(`[data-testid="${id}"]`) });

function element(tag, className, text = '') {
  const e = document.createElement(tag);
  e.className = className;
  e.textContent = text;
  return e;
}

/** A colour that stays with a name. */
function hue(name) {
  let h = 7;
  for (const c of name) h = (h * 31 + c.codePointAt(0)) % 3600;
  return String(h / 10);
}

function face(name) {
  const e = element('span', 'face', [...name][0]?.toUpperCase() ?? '');
  e.style.setProperty('--hue', hue(name));
  e.setAttribute('aria-hidden', 'true');
  return e;
}

function timeOf(at) {
  const date = new Date(Number.isFinite(at) ? at : Date.now());
  const e = element('time', '', date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  e.dateTime = date.toISOString();
  return e;
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a person can make of an error. */
function readable(error, name = '') {
  const said = error.message ? ` (${error.message})` : '';
  switch (error.code) {
    case 'PIT-400': return `The server does not accept that${said}.`;
    case 'PIT-409': return name ? `The name “${name}” is taken. Choose another one.` : `That is taken${said}.`;
    case 'PIT-413': return 'That is too long.';
    case 'PIT-429': return 'That was too fast. Wait a moment.';
    case 'PIT-503': return 'The server is busy. Try again in a moment.';
    case 'PIT-408':
    case 'PIT-504': return 'The server did not answer in time.';
    case 'PIT-499': return 'The connection was lost.';
    case 'PIT-500': return 'The server cannot be reached right now.';
    default: return error.message || 'Something went wrong.';
  }
}

// ---- the list of messages ----

class Log {
  #known = new Set(); // messages that are on the page, by author, time and text
  #own = []; // messages of this page that no push or history has confirmed yet

  constructor(list, scroller, newer) {
    Object.assign(this, { list, scroller, newer });
    scroller.addEventListener('scroll', () => { if (this.#atEnd()) newer.hidden = true; });
    newer.addEventListener('click', () => this.toEnd());
    this.pinned = true; // the reader is at the end and stays there when something grows
    const resized = new ResizeObserver(() => { if (this.pinned) this.toEnd(); });
    resized.observe(scroller);
    resized.observe(list);
  }

  clear() {
    this.list.replaceChildren();
    this.#known.clear();
    this.#own = [];
  }

  note(text) {
    const note = element('li', 'note', text);
    note.dataset.testid = 'note';
    this.#append(note);
  }

  /** A message from the server; those that are on the page already are left out. */
  message({ from, text, at }, me) {
    const key = JSON.stringify([from, at, text]);
    if (this.#known.has(key)) return;
    this.#known.add(key);
    if (this.#known.size > 4 * KEPT) this.#known.delete(this.#known.values().next().value);
    const mine = from === me ? this.#own.findIndex((m) => m.text === text && (m.at === undefined || m.at === at)) : -1;
    if (mine >= 0) {
      this.#own.splice(mine, 1)[0].sent(at);
      return;
    }
    this.#append(this.#item({ from, text, at, own: from === me }));
  }

  /** A message that is being sent from here. send(draft) sends it, at first and on every retry. */
  draft(from, text, send) {
    const item = this.#item({ from, text, at: Date.now(), own: true });
    const failure = element('div', 'failure');
    const draft = {
      text,
      at: undefined,
      sending() {
        item.classList.add('sending');
        item.classList.remove('failed');
        failure.remove();
      },
      sent(at) {
        draft.at = at;
        item.classList.remove('sending', 'failed');
        failure.remove();
        if (Number.isFinite(at)) item.querySelector('time').replaceWith(timeOf(at));
      },
      failed(why) {
        if (draft.at !== undefined) return; // the push came all the same
        item.classList.remove('sending');
        item.classList.add('failed');
        const retry = element('button', '', 'Try again');
        retry.type = 'button';
        retry.dataset.testid = 'retry';
        retry.addEventListener('click', () => send(draft));
        const reason = element('span', '', `Not sent. ${why}`);
        reason.dataset.testid = 'failure';
        failure.replaceChildren(reason, retry);
        item.append(failure);
      },
    };
    this.#own.push(draft);
    this.#append(item);
    this.toEnd();
    return draft;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.newer.hidden = true;
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return (this.pinned = scrollHeight - scrollTop - clientHeight < 60);
  }

  #item({ from, text, at, own }) {
    const item = element('li', own ? 'message own' : 'message');
    item.dataset.testid = 'message';
    item.dataset.from = from;
    item.dataset.at = String(at);
    item.style.setProperty('--hue', hue(from));
    const head = element('div', 'head');
    const author = element('span', own ? 'visually-hidden' : 'from', from);
    head.append(author, timeOf(at));
    item.append(head, element('div', 'body', text));
    return item;
  }

  #append(item) {
    const end = this.#atEnd();
    const last = this.list.lastElementChild;
    const near = item.dataset.at - last?.dataset.at < GROUP_MS; // false for notes
    item.classList.toggle('follows', near && last.dataset.from === item.dataset.from);
    this.list.append(item);
    while (this.list.childElementCount > KEPT) this.list.firstElementChild.remove();
    if (end) this.toEnd();
    else this.newer.hidden = item.classList.contains('note') && this.newer.hidden;
  }
}

// ---- the page ----

const log = new Log(ui.log, ui.scroll, ui.newer);
const members = new Set();
let client = null;
let frontend = '';
let me = null; // {name, room} while this page is in a room, also while it is being reconnected
let inside = false; // whether the server knows that we are in the room
let rejoining = false;
let early = null; // pushes that came while we are being let in, which the answer may or may not know of
let unread = 0;

function showState() {
  const state = client?.state ?? 'closed';
  const shown = state === 'open' && me && !inside ? 'reconnecting' : state;
  const words = { open: frontend, connecting: 'connecting…', reconnecting: 'reconnecting…', closed: 'offline' };
  const what = element('span', 'what', words[shown]);
  if (shown === 'open') what.prepend(element('span', 'long', 'connected to '));
  ui.state.replaceChildren(what);
  ui.state.dataset.state = shown;
  ui.send.setAttribute('aria-disabled', String(!inside));
  if (inside) ui['composer-hint'].textContent = '';
}

function showMembers() {
  const names = [...members].sort((a, b) => a.localeCompare(b));
  ui['member-count'].textContent = String(names.length);
  ui.members.replaceChildren(...names.map((name) => {
    const item = element('li', '');
    item.dataset.testid = 'member';
    item.append(face(name), element('span', '', name === me?.name ? `${name} (you)` : name));
    return item;
  }));
}

function showTitle() {
  const title = me ? `${me.room} · cereus chat` : 'cereus chat';
  document.title = unread ? `(${unread}) ${title}` : title;
  ui.title.textContent = me ? me.room : 'cereus chat';
}

/** Puts the join card or the chat in front. */
function show(chatting) {
  ui.chat.hidden = ui.leave.hidden = !chatting;
  ui.welcome.hidden = chatting;
  showTitle();
  if (chatting) ui.text.focus();
  else ui.name.focus();
}

/** Asks to be let into the room and shows what the server tells about it. */
async function enter({ name, room }) {
  const before = me;
  const came = early = [];
  let answer;
  try {
    answer = await client.request('room.chat.join', { name, room });
  } finally {
    if (early === came) early = null;
  }
  if (me !== before) return; // left meanwhile
  const back = me !== null;
  const moved = back && me.server !== answer.server;
  if (!back) log.clear();
  me = { name: answer.name ?? name, room: answer.room ?? room, server: answer.server };
  inside = true;
  members.clear();
  for (const member of answer.members ?? []) members.add(member);
  members.add(me.name);
  for (const message of answer.history ?? []) log.message(message, me.name);
  log.note(back ? `You are back${moved ? `, by way of ${me.server}` : ''}.` : `You joined ${me.room}.`);
  for (const take of came) take();
  ui.where.textContent = answer.server ? `${answer.server} let you in; you came through ${frontend}.` : '';
  showMembers();
  showState();
  if (back) return;
  show(true);
  log.toEnd();
}

/** Comes back into the room after a new connection, or after the room forgot us. */
async function rejoin() {
  if (rejoining || !me) return;
  rejoining = true;
  inside = false;
  showState();
  try {
    for (let i = 0; me && client.state === 'open'; i++) {
      const error = await enter(me).then(() => null, (e) => e);
      if (!error) return;
      // A name in use is most likely ours, held by the connection that was lost until its heartbeats run out.
      if (error.code === 'PIT-400' || i >= REJOIN_ATTEMPTS) return outside(readable(error, me?.name));
      if (error.code === 'PIT-409') ui['composer-hint'].textContent = 'Your name is still held by the lost connection. Waiting for it…';
      await wait(REJOIN_MS);
    }
  } finally {
    rejoining = false;
    if (me && !inside && client.state === 'open') rejoin(); // the connection changed meanwhile
  }
}

/** Back to the join card, with a fresh connection: to its server the old one still bears the name. */
function outside(why = '') {
  me = null;
  inside = false;
  const connected = client.state !== 'closed';
  client.close();
  if (connected) connect().catch(() => showState());
  members.clear();
  ui['join-error'].textContent = why;
  show(false);
  showState();
}

async function send(draft, again = true) {
  draft.sending();
  try {
    const { at } = (await client.request('room.chat.say', { text: draft.text })) ?? {};
    draft.sent(at);
  } catch (e) {
    // A room that moved to another server does not know us there: come in again, once.
    if (e.code === 'PIT-404' && again && me) {
      await rejoin();
      if (inside) return send(draft, false);
    }
    draft.failed(readable(e));
  }
}

/** Listens to a push of the room. */
function onRoom(c, route, take) {
  c.on(route, (push) => {
    const taken = () => { if (push.room === me?.room) take(push); };
    if (early) early.push(taken);
    else taken();
  });
}

function listen(c) {
  c.on('state', (state) => {
    if (state !== 'open') inside = false;
    showState();
    if (state === 'open') rejoin();
  });
  c.on('kick', ({ reason }) => outside(reason ? `You were sent away: ${reason}.` : 'You were sent away.'));
  c.on('close', ({ reconnecting, error }) => {
    if (me && !reconnecting) outside(error ? readable(error) : '');
    showState();
  });
  c.on('error', (e) => console.warn('chat:', e.message));
  onRoom(c, 'chat.message', (m) => {
    log.message(m, me.name);
    if (document.hidden && m.from !== me.name) {
      unread++;
      showTitle();
    }
  });
  onRoom(c, 'chat.joined', ({ name }) => {
    if (members.has(name)) return;
    members.add(name);
    showMembers();
    log.note(`${name} joined.`);
  });
  onRoom(c, 'chat.left', ({ name }) => {
    if (name === me.name || !members.delete(name)) return;
    showMembers();
    log.note(`${name} left.`);
  });
}

/** Connects, at first with the address that this page's server tells. */
async function connect() {
  if (!client) {
    const config = await (await fetch('/config.json', { cache: 'no-store' })).json();
    frontend = String(config.frontend ?? 'the server');
    client = new Client(config.ws, { platform: 'web', user: { client: 'chat-page' } });
    listen(client);
  }
  await client.connect();
}

// ---- what the visitor does ----

ui['join-form'].addEventListener('submit', async (event) => {
  event.preventDefault();
  const name = ui.name.value.trim();
  const room = ui.room.value.trim() || 'lobby';
  if (!name) {
    ui['join-error'].textContent = 'Enter a name first.';
    ui.name.focus();
    return;
  }
  ui['join-error'].textContent = '';
  ui.join.disabled = true;
  try {
    await connect();
    await enter({ name, room });
    sessionStorage.setItem('chat', JSON.stringify({ name, room }));
  } catch (e) {
    ui['join-error'].textContent = e.code ? readable(e, name) : 'The server cannot be reached right now.';
    ui.name.focus();
  } finally {
    ui.join.disabled = false;
    showState();
  }
});

function fitText() {
  ui.text.style.height = 'auto';
  ui.text.style.height = `${ui.text.scrollHeight + 2}px`;
}

ui.composer.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = ui.text.value.trim();
  if (!text) return;
  if (!inside) {
    ui['composer-hint'].textContent = 'Not connected. Your text stays here until you are.';
    return;
  }
  ui.text.value = '';
  fitText();
  ui.text.focus();
  send(log.draft(me.name, text, send));
});

ui.text.addEventListener('input', fitText);
// Some keyboards send the character although its keydown was taken, so that both events are.
for (const type of ['keydown', 'keypress']) {
  ui.text.addEventListener(type, (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (type === 'keydown') ui.composer.requestSubmit();
  });
}

ui.leave.addEventListener('click', async () => {
  ui.leave.disabled = true;
  if (inside) await client.request('room.chat.leave', {}, { timeout: 2000 }).catch(() => {});
  ui.leave.disabled = false;
  outside();
});

addEventListener('online', () => client?.retry());
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  client?.retry();
  unread = 0;
  showTitle();
});

try {
  const { name, room } = JSON.parse(sessionStorage.getItem('chat') ?? '{}');
  ui.name.value = name ?? '';
  ui.room.value = room ?? 'lobby';
} catch {
  // nothing remembered
}
ui.name.focus();
connect().catch(() => showState());
