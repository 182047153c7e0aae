// A client of the cereus (Pomelo/Pitaya) protocol over WebSocket, for browsers and for Node 20 or later.
// One ES module without dependencies; see README.md beside it. License: MIT.
// @ts-check

/** The version this client announces in the handshake. */
export const VERSION = '0.1.0';

/**
 * Packet types, the first byte of every WebSocket message.
 * @readonly
 * @enum {number}
 */
export const PacketType = Object.freeze({ HANDSHAKE: 1, HANDSHAKE_ACK: 2, HEARTBEAT: 3, DATA: 4, KICK: 5 });

/**
 * Message types, inside data packets.
 * @readonly
 * @enum {number}
 */
export const MessageType = Object.freeze({ REQUEST: 0, NOTIFY: 1, RESPONSE: 2, PUSH: 3 });

/**
 * The codes this client gives to errors of its own. Servers send these and any others.
 * @readonly
 * @enum {string}
 */
export const Code = Object.freeze({
  INTERNAL: 'PIT-000', // also everything malformed that a server sent
  BAD_REQUEST: 'PIT-400', // also a refused handshake
  TOO_LARGE: 'PIT-413',
  CLOSED: 'PIT-499', // the connection ended, or there is none
  UNAVAILABLE: 'PIT-500', // the server could not be reached
  TIMEOUT: 'PIT-504', // no answer in time
});

/**
 * Why a server closes a connection. 4000 to 4099 mean: come back later; 4200 to 4299 and 1002: do not; else: at once.
 * @readonly
 * @enum {number}
 */
export const Close = Object.freeze({
  DONE: 1000,
  SHUTDOWN: 1001,
  PROTOCOL: 1002,
  INTERNAL: 1011,
  SLOW: 4000,
  FLOOD: 4001,
  HANDSHAKE_TIMEOUT: 4002,
  BUSY: 4003,
  TIMEOUT: 4100,
  MOVED: 4101,
  PAUSED: 4102,
  KICKED: 4200,
  REPLACED: 4201,
  HANDSHAKE_REFUSED: 4202,
});

/** Largest body of one packet, in bytes. */
export const MAX_PACKET_BODY = 0xffffff;

const HEADER_SIZE = 4;
const MAX_ROUTE = 255;
const MAX_ID = 0xffffffff;
const MAX_TIMER = 0x7fffffff; // longer timers fire at once

const FLAG_ROUTE_CODE = 0x01;
const FLAG_ZLIB = 0x10;
const FLAG_ERROR = 0x20;

/** How long a connection must have lived before its end counts as a first failure again. */
const STABLE_MS = 5000;

const utf8 = new TextEncoder();
const text = new TextDecoder('utf-8', { ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/**
 * @typedef {'connecting' | 'open' | 'reconnecting' | 'closed'} State
 */

/**
 * Turns values into bytes and back. `route` is the request's or the push's, so that a protobuf serializer can choose the type.
 * @typedef {object} Serializer
 * @property {string} name what the server must announce in its handshake: "json" or "protobuf"
 * @property {(value: any, route: string) => Uint8Array} encode
 * @property {(bytes: Uint8Array, route: string) => any} decode
 */

/**
 * @typedef {object} ReconnectOptions
 * @property {number} [min] first wait in milliseconds; it doubles with every failure (default 500)
 * @property {number} [max] longest wait in milliseconds (default 15000)
 * @property {number} [attempts] give up after so many failures in a row (default: never)
 */

/**
 * @typedef {object} ClientOptions
 * @property {Record<string, unknown>} [user] free data for the server's handshake validators; kept with the session
 * @property {string} [platform] default "js"
 * @property {string} [clientVersion] default "0.1"
 * @property {string} [clientBuildNumber] default "1"
 * @property {Serializer} [serializer] default: JSON
 * @property {number} [timeout] of a request, in milliseconds; 0 means none (default 10000)
 * @property {number} [connectTimeout] of dialing and handshake together, in milliseconds (default 10000)
 * @property {boolean | ReconnectOptions} [reconnect] default true
 * @property {number} [heartbeatSlack] milliseconds granted beyond two silent intervals (default: half an interval, at most 5000)
 * @property {number} [maxInflated] largest inflated body in bytes (default 16 MiB)
 * @property {typeof inflate} [inflate] used instead of DecompressionStream
 * @property {WebSocketConstructor} [WebSocket] default: the global one; Node 20 has none
 */

/**
 * The part of the browser's WebSocket that this client uses.
 * @typedef {object} WebSocketLike
 * @property {string} binaryType
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {(data: any) => void} send
 * @property {(code?: number, reason?: string) => void} close
 */

/** @typedef {new (url: string) => WebSocketLike} WebSocketConstructor */

/**
 * @typedef {object} RequestOptions
 * @property {number} [timeout] milliseconds; 0 means none (default: the client's)
 * @property {AbortSignal} [signal] gives the request up; the server may still run it
 */

/**
 * @typedef {object} CloseEvent
 * @property {string} reason
 * @property {number} [code] what the server said it is, see Close; absent when it said nothing
 * @property {boolean} reconnecting whether the client is going to connect again by itself
 * @property {CereusError} [error] why, when it was not `close()`
 */

/**
 * @typedef {object} KickEvent
 * @property {string} reason empty when the server gave none
 * @property {number} [code] see Close
 * @property {Uint8Array} data the body of the kick packet
 */

/**
 * @typedef {object} Message
 * @property {number} type a MessageType
 * @property {number} id 0 for notifies and pushes
 * @property {string} route empty for responses
 * @property {Uint8Array} data
 * @property {boolean} error whether data is an error body
 * @property {boolean} compressed whether data is a zlib stream
 */

/** Every failure this client reports: errors that a server answered with and its own. */
export class CereusError extends Error {
  /**
   * @param {string} code for example "PIT-404"; see `Code`
   * @param {string} message
   * @param {Record<string, string>} [metadata]
   * @param {unknown} [cause]
   */
  constructor(code, message, metadata = {}, cause = undefined) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CereusError';
    /** @type {string} */
    this.code = code;
    /** @type {Record<string, string>} */
    this.metadata = metadata;
  }
}

/** @param {string} what @param {unknown} [cause] */
function malformed(what, cause) {
  return new CereusError(Code.INTERNAL, `malformed data from the server: ${what}`, {}, cause);
}

// ---- packets and messages (wire.md 1 and 3) ----

/**
 * One packet: type, length, body.
 * @param {number} type a PacketType
 * @param {Uint8Array} [body]
 * @returns {Uint8Array}
 */
export function encodePacket(type, body = EMPTY) {
  if (!validPacketType(type)) throw new CereusError(Code.BAD_REQUEST, `wrong packet type ${type}`);
  const n = body.length;
  if (n > MAX_PACKET_BODY) throw new CereusError(Code.TOO_LARGE, `a packet holds ${MAX_PACKET_BODY} bytes, not ${n}`);
  const packet = new Uint8Array(HEADER_SIZE + n);
  packet.set([type, n >>> 16, (n >>> 8) & 0xff, n & 0xff]);
  packet.set(body, HEADER_SIZE);
  return packet;
}

/**
 * The one packet of a WebSocket message. The body is a view into `bytes`.
 * @param {Uint8Array} bytes
 * @returns {{ type: number, body: Uint8Array }}
 */
export function decodePacket(bytes) {
  if (bytes.length < HEADER_SIZE) throw malformed('a packet without a whole header');
  if (!validPacketType(bytes[0])) throw malformed(`packet type ${bytes[0]}`);
  const n = (bytes[1] << 16) | (bytes[2] << 8) | bytes[3];
  const body = bytes.subarray(HEADER_SIZE);
  if (body.length !== n) throw malformed(`a packet of ${n} bytes in a message of ${body.length}`);
  return { type: bytes[0], body };
}

/** @param {number} type */
function validPacketType(type) {
  return type >= PacketType.HANDSHAKE && type <= PacketType.KICK;
}

/**
 * A table of routes and their two-byte codes, as servers send it in the handshake.
 */
export class Dictionary {
  /** @param {Record<string, number>} [routes] */
  constructor(routes = {}) {
    /** @type {Map<string, number>} */
    this.codes = new Map();
    /** @type {Map<number, string>} */
    this.routes = new Map();
    for (const [route, code] of Object.entries(routes)) {
      if (!Number.isInteger(code) || code < 0 || code > 0xffff) throw malformed(`route code ${code}`);
      if (this.routes.has(code)) throw malformed(`route code ${code} twice`);
      this.codes.set(route, code);
      this.routes.set(code, route);
    }
  }
}

const NO_DICTIONARY = new Dictionary();

/**
 * @param {Partial<Message> & { type: number }} message `compressed` says that data is deflated already
 * @param {Dictionary} [dictionary]
 * @returns {Uint8Array}
 */
export function encodeMessage(message, dictionary = NO_DICTIONARY) {
  const { type, id = 0, data = EMPTY } = message;
  if (!(type >= MessageType.REQUEST && type <= MessageType.PUSH)) {
    throw new CereusError(Code.BAD_REQUEST, `wrong message type ${type}`);
  }
  const head = [(type << 1) | (message.error ? FLAG_ERROR : 0) | (message.compressed ? FLAG_ZLIB : 0)];
  if (hasId(type)) appendVarint(head, id);
  const route = type === MessageType.RESPONSE ? EMPTY : appendRoute(head, message.route ?? '', dictionary);
  const bytes = new Uint8Array(head.length + route.length + data.length);
  bytes.set(head);
  bytes.set(route, head.length);
  bytes.set(data, head.length + route.length);
  return bytes;
}

/**
 * Appends a route's code, or its length. Returns the bytes that have to follow.
 * @param {number[]} head @param {string} route @param {Dictionary} dictionary
 */
function appendRoute(head, route, dictionary) {
  const code = dictionary.codes.get(route);
  if (code !== undefined) {
    head[0] |= FLAG_ROUTE_CODE;
    head.push(code >> 8, code & 0xff);
    return EMPTY;
  }
  const bytes = utf8.encode(route);
  if (bytes.length > MAX_ROUTE) {
    throw new CereusError(Code.BAD_REQUEST, `a route has at most ${MAX_ROUTE} bytes, not ${bytes.length}`);
  }
  head.push(bytes.length);
  return bytes;
}

/** @param {number[]} head @param {number} value a non-negative integer up to 2^53 - 1 */
function appendVarint(head, value) {
  if (!Number.isSafeInteger(value) || value < 0) throw new CereusError(Code.BAD_REQUEST, `wrong message id ${value}`);
  while (value > 0x7f) {
    head.push((value % 0x80) | 0x80);
    value = Math.floor(value / 0x80);
  }
  head.push(value);
}

/**
 * Request ids are 32-bit, wrap to 1 (0 is never answered) and leave out those in use.
 * @param {number} last @param {{ has: (id: number) => boolean }} used
 * @returns {number}
 */
export function nextId(last, used) {
  do {
    last = last >= MAX_ID ? 1 : last + 1;
  } while (used.has(last));
  return last;
}

/** @param {number} type */
function hasId(type) {
  return type === MessageType.REQUEST || type === MessageType.RESPONSE;
}

/**
 * The message in a data packet. Its data is a view into `bytes` and is not inflated.
 * @param {Uint8Array} bytes
 * @param {Dictionary} [dictionary]
 * @returns {Message}
 */
export function decodeMessage(bytes, dictionary = NO_DICTIONARY) {
  if (bytes.length < 2) throw malformed('a message without content');
  const flag = bytes[0];
  const type = (flag >> 1) & 7;
  if (type > MessageType.PUSH) throw malformed(`message type ${type}`);
  let at = 1;
  let id = 0;
  if (hasId(type)) [id, at] = readVarint(bytes, at);
  let route = '';
  if (type !== MessageType.RESPONSE) [route, at] = readRoute(bytes, at, dictionary);
  return {
    type, id, route,
    data: bytes.subarray(at),
    error: (flag & FLAG_ERROR) !== 0,
    compressed: (flag & FLAG_ZLIB) !== 0,
  };
}

/**
 * Ids above 2^53 lose digits; no request of this client has one.
 * @param {Uint8Array} bytes @param {number} at
 * @returns {[number, number]} the value and the index behind it
 */
function readVarint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; at < bytes.length; shift += 7n) {
    const byte = bytes[at++];
    if (shift < 64n) value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [Number(BigInt.asUintN(64, value)), at];
  }
  throw malformed('a message id without an end');
}

/**
 * @param {Uint8Array} bytes @param {number} at @param {Dictionary} dictionary
 * @returns {[string, number]} the route and the index behind it
 */
function readRoute(bytes, at, dictionary) {
  if (bytes[0] & FLAG_ROUTE_CODE) {
    if (at + 2 > bytes.length) throw malformed('half a route code');
    const route = dictionary.routes.get((bytes[at] << 8) | bytes[at + 1]);
    if (route === undefined) throw malformed('a route code that is not in the dictionary');
    return [route, at + 2];
  }
  const end = at + 1 + bytes[at];
  if (!(end <= bytes.length)) throw malformed('a route longer than its message');
  return [text.decode(bytes.subarray(at + 1, end)), end];
}

// ---- compression (wire.md 2.3 and 3.5) ----

/**
 * How a handshake body is compressed, told by its first bytes as nothing else says it.
 * @param {Uint8Array} bytes
 * @returns {'deflate' | 'gzip' | ''}
 */
export function compressionOf(bytes) {
  if (bytes.length <= 2) return '';
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'gzip';
  return bytes[0] === 0x78 && [0x9c, 0x01, 0xda, 0x5e].includes(bytes[1]) ? 'deflate' : '';
}

/**
 * Inflates with DecompressionStream and stops when more than `limit` bytes come out.
 * @param {Uint8Array} bytes
 * @param {'deflate' | 'gzip'} format "deflate" is the zlib format
 * @param {number} limit in bytes
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(bytes, format, limit) {
  if (typeof DecompressionStream === 'undefined') {
    throw malformed('compressed, and there is no DecompressionStream here; pass the option "inflate"');
  }
  if (bytes.length === 0) throw malformed('an empty zlib stream');
  const stream = new DecompressionStream(format);
  const writer = stream.writable.getWriter();
  // What goes wrong in writing is told to the reader as well.
  writer.write(/** @type {any} */ (bytes)).catch(() => {});
  writer.close().catch(() => {});
  try {
    return await readAll(stream.readable.getReader(), limit);
  } catch (cause) {
    throw cause instanceof CereusError ? cause : malformed('a broken zlib stream', cause);
  }
}

/**
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {number} limit
 * @returns {Promise<Uint8Array>}
 */
async function readAll(reader, limit) {
  const chunks = [];
  let size = 0;
  for (let r = await reader.read(); !r.done; r = await reader.read()) {
    size += r.value.length;
    if (size > limit) {
      reader.cancel().catch(() => {});
      throw malformed(`more than ${limit} bytes when inflated`);
    }
    chunks.push(r.value);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

// ---- bodies ----

/** @type {Serializer} */
export const JSONSerializer = Object.freeze({
  name: 'json',
  /** @param {any} value */
  encode: (value) => utf8.encode(JSON.stringify(value)),
  /** @param {Uint8Array} bytes */
  decode: (bytes) => JSON.parse(text.decode(bytes)),
});

/**
 * The error in the body of an error response (wire.md 4.1); never throws.
 * @param {Uint8Array} bytes
 * @param {string} serializer "json" or "protobuf"
 * @returns {CereusError}
 */
export function decodeError(bytes, serializer) {
  try {
    const body = serializer === 'protobuf' ? readProtoError(bytes) : JSON.parse(text.decode(bytes));
    const metadata = Object.fromEntries(Object.entries(body.metadata ?? {}).map(([k, v]) => [k, String(v)]));
    return new CereusError(String(body.code || Code.INTERNAL), String(body.msg ?? ''), metadata);
  } catch (cause) {
    return new CereusError(Code.INTERNAL, 'the server answered with an error that cannot be read', {}, cause);
  }
}

/** protos.Error: 1 code, 2 msg, 3 map metadata. @param {Uint8Array} bytes */
function readProtoError(bytes) {
  /** @type {{ code: string, msg: string, metadata: Record<string, string> }} */
  const body = { code: '', msg: '', metadata: {} };
  for (const [field, value] of lengthDelimited(bytes)) {
    if (field === 1) body.code = text.decode(value);
    if (field === 2) body.msg = text.decode(value);
    if (field !== 3) continue;
    const entry = new Map(lengthDelimited(value));
    body.metadata[text.decode(entry.get(1) ?? EMPTY)] = text.decode(entry.get(2) ?? EMPTY);
  }
  return body;
}

/**
 * The fields of a protobuf message that has only strings, bytes and messages.
 * @param {Uint8Array} bytes
 * @returns {Generator<[number, Uint8Array]>}
 */
function* lengthDelimited(bytes) {
  for (let at = 0; at < bytes.length;) {
    let tag, n;
    [tag, at] = readVarint(bytes, at);
    if (tag % 8 !== 2) throw malformed(`protobuf wire type ${tag % 8} in an error`);
    [n, at] = readVarint(bytes, at);
    if (n > bytes.length - at) throw malformed('a protobuf field longer than its message');
    yield [Math.floor(tag / 8), bytes.subarray(at, at + n)];
    at += n;
  }
}

/**
 * @param {Uint8Array} bytes
 * @returns {{ code: number, heartbeat: number, dictionary: Dictionary, serializer: string }}
 */
function readHandshake(bytes) {
  let body;
  try {
    body = JSON.parse(text.decode(bytes));
  } catch (cause) {
    throw malformed('a handshake that is not JSON', cause);
  }
  const sys = body?.sys ?? {};
  if (typeof body?.code !== 'number' || typeof sys !== 'object') throw malformed('a handshake without a code');
  const dict = sys.dict ?? {};
  if (typeof dict !== 'object') throw malformed('a dictionary that is no object');
  return {
    code: body.code,
    heartbeat: typeof sys.heartbeat === 'number' ? sys.heartbeat : 0,
    dictionary: new Dictionary(dict),
    serializer: typeof sys.serializer === 'string' ? sys.serializer : 'json',
  };
}

/** @param {Uint8Array} data @returns {KickEvent} */
function readKick(data) {
  let reason = '';
  let code;
  try {
    const body = JSON.parse(text.decode(data));
    if (typeof body?.reason === 'string') reason = body.reason;
    if (Number.isInteger(body?.code)) code = body.code;
  } catch {
    // Pitaya's kicks are empty; what cannot be read is left to the listener in data.
  }
  return code === undefined ? { reason, data } : { reason, code, data };
}

/** @param {number | undefined} code @returns {'at once' | 'later' | 'never'} whether a client may come back */
export function comeBack(code = 0) {
  if ((code >= 4000 && code < 4100) || code === 1013) return 'later';
  if ((code >= 4200 && code < 4300) || code === 1002 || code === 1003 || (code >= 1007 && code <= 1010)) return 'never';
  return 'at once';
}

// ---- the client ----

/**
 * Runs steps one after another in the order they came: at once while it can, later behind a step that has to wait.
 * Steps do not throw and their promises do not reject.
 */
class Inbox {
  /** @type {(() => Promise<void> | void)[]} */
  #steps = [];
  #busy = false;

  /** @param {() => Promise<void> | void} step */
  push(step) {
    this.#steps.push(step);
    if (!this.#busy) this.#drain();
  }

  get waiting() {
    return this.#steps.length > 0;
  }

  #drain() {
    this.#busy = true;
    while (this.#steps.length > 0) {
      const wait = /** @type {() => Promise<void> | void} */ (this.#steps.shift())();
      if (wait) {
        wait.then(() => this.#drain());
        return;
      }
    }
    this.#busy = false;
  }
}

/** Lets the code behind `await client.request()` run, and what little it wraps around it. */
async function breathe() {
  for (let i = 0; i < 4; i++) await undefined;
}

/** One socket and what belongs to it alone. */
class Connection {
  /** @param {WebSocketLike} socket */
  constructor(socket) {
    this.socket = socket;
    this.inbox = new Inbox();
    this.dictionary = NO_DICTIONARY;
    this.greeted = false; // a 200 handshake came and was acknowledged
    this.deaf = false; // nothing more is taken from the socket
    this.over = false; // nothing more is told to the application
    this.openedAt = 0;
    this.heardAt = Date.now();
    this.saidAt = Date.now();
    this.interval = 0; // between heartbeats, milliseconds; 0: none
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.deadline = undefined; // of the handshake, later of the server's silence
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.beat = undefined;
  }

  /** @param {Uint8Array} packet */
  send(packet) {
    this.saidAt = Date.now();
    this.socket.send(packet);
  }

  release() {
    this.over = this.deaf = true;
    clearTimeout(this.deadline);
    clearInterval(this.beat);
    const { socket } = this;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // Node implementations throw what nobody hears
    try {
      socket.close(1000);
    } catch {
      // it is closed already
    }
  }
}

/**
 * @typedef {object} Pending
 * @property {string} route
 * @property {(value: any) => void} resolve
 * @property {(reason: unknown) => void} reject
 */

/**
 * A connection to a cereus, Pitaya or Pomelo frontend that comes back by itself.
 *
 * Messages reach listeners and requests in the order in which the server sent them.
 */
export class Client {
  #url;
  #options;
  #serializer;
  /** @type {Required<ReconnectOptions> | null} */
  #reconnect;
  /** @type {State} */
  #state = 'closed';
  /** @type {State} */
  #announced = 'closed';
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #lastId = 0;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {{ promise: Promise<void>, resolve: () => void, reject: (e: unknown) => void } | null} */
  #opening = null;
  /** @type {Map<string, Set<Function>>} */
  #events = new Map([['state', new Set()], ['close', new Set()], ['kick', new Set()], ['error', new Set()]]);
  /** @type {Map<string, Set<Function>>} */
  #pushes = new Map();

  /**
   * @param {string} url ws:// or wss://
   * @param {ClientOptions} [options]
   */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = options;
    this.#serializer = options.serializer ?? JSONSerializer;
    const { reconnect = true } = options;
    this.#reconnect = reconnect
      ? { min: 500, max: 15000, attempts: Infinity, ...(reconnect === true ? {} : reconnect) }
      : null;
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  get url() {
    return this.#url;
  }

  /**
   * Connects and shakes hands; resolves when requests can be made. A first attempt that fails is not repeated:
   * the promise rejects with a CereusError. While the client is reconnecting this tries at once and waits for it.
   * Without a WebSocket, global or in the options, it rejects with a TypeError.
   * @returns {Promise<void>}
   */
  connect() {
    if (this.#state === 'open') return Promise.resolve();
    if (!this.#implementation()) {
      return Promise.reject(new TypeError('there is no global WebSocket here: pass an implementation as the option "WebSocket"'));
    }
    if (!this.#opening) {
      /** @type {any} */
      const opening = {};
      opening.promise = new Promise((resolve, reject) => Object.assign(opening, { resolve, reject }));
      this.#opening = opening;
    }
    const { promise } = /** @type {{ promise: Promise<void> }} */ (this.#opening);
    if (!this.#connection) {
      clearTimeout(this.#retryTimer);
      if (this.#state === 'closed') this.#state = 'connecting';
      this.#dial();
      this.#announce();
    }
    return promise;
  }

  /** While reconnecting: try now instead of at the end of the wait. Otherwise does nothing. */
  retry() {
    if (this.#state !== 'reconnecting' || this.#connection) return;
    clearTimeout(this.#retryTimer);
    this.#dial();
  }

  /** Ends the connection and all reconnecting. Requests without an answer reject. `connect()` starts anew. */
  close() {
    if (this.#state === 'closed') return;
    this.#failures = 0;
    this.#lose(this.#connection, { reason: 'closed by the client', final: true });
  }

  /**
   * Sends a request and resolves with the decoded answer (undefined for an empty one).
   * Rejects with a CereusError: the server's, PIT-504 without an answer in time, PIT-499 without a connection.
   * @param {string} route "type.service.method" or "service.method"
   * @param {any} [body] for the serializer; a Uint8Array is sent as it is, undefined as an empty body
   * @param {RequestOptions} [options]
   * @returns {Promise<any>}
   */
  request(route, body, options = {}) {
    return new Promise((resolve, reject) => {
      const { signal, timeout = this.#options.timeout ?? 10000 } = options;
      signal?.throwIfAborted();
      const id = (this.#lastId = nextId(this.#lastId, this.#pending));
      this.#write({ type: MessageType.REQUEST, id, route, data: this.#encode(route, body) });
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const forget = () => {
        this.#pending.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
      };
      const aborted = () => {
        forget();
        reject(signal?.reason);
      };
      const late = () => {
        forget();
        reject(new CereusError(Code.TIMEOUT, `no answer from ${route} within ${timeout} ms`, { route }));
      };
      signal?.addEventListener('abort', aborted);
      if (timeout > 0 && timeout <= MAX_TIMER) timer = setTimeout(late, timeout);
      this.#pending.set(id, {
        route,
        resolve: (value) => (forget(), resolve(value)),
        reject: (reason) => (forget(), reject(reason)),
      });
    });
  }

  /**
   * Sends a message that has no answer. Throws a CereusError without a connection.
   * @param {string} route
   * @param {any} [body] as in `request`
   */
  notify(route, body) {
    this.#write({ type: MessageType.NOTIFY, route, data: this.#encode(route, body) });
  }

  /**
   * Listens to one of the client's own events or to pushes of a route.
   *
   * - `state` (State): whenever it changes
   * - `close` (CloseEvent): a connection, or the first attempt to get one, came to its end
   * - `kick` (KickEvent): the server sent the player away; the client does not reconnect
   * - `error` (Error): malformed data from the server, failed connections, what other listeners threw
   * - anything else (the decoded body, the route): pushes; see `onPush` for routes named like an event
   *
   * @param {string} name
   * @param {(value: any, route?: any) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    const set = this.#events.get(name);
    return set ? subscribe(set, listener) : this.onPush(name, listener);
  }

  /**
   * Listens to pushes of a route, whatever it is called.
   * @param {string} route
   * @param {(value: any, route: string) => void} listener
   * @returns {() => void} stops listening
   */
  onPush(route, listener) {
    let set = this.#pushes.get(route);
    if (!set) this.#pushes.set(route, (set = new Set()));
    return subscribe(set, listener);
  }

  // ---- sending ----

  /** @param {string} route @param {any} body @returns {Uint8Array} */
  #encode(route, body) {
    if (body === undefined) return EMPTY;
    return body instanceof Uint8Array ? body : this.#serializer.encode(body, route);
  }

  /** @param {Partial<Message> & { type: number }} message */
  #write(message) {
    const connection = this.#connection;
    if (!connection || this.#state !== 'open') {
      throw new CereusError(Code.CLOSED, `not connected (${this.#state})`);
    }
    connection.send(encodePacket(PacketType.DATA, encodeMessage(message, connection.dictionary)));
  }

  // ---- a connection's life ----

  /** @returns {WebSocketConstructor} */
  #implementation() {
    return this.#options.WebSocket ?? /** @type {any} */ (globalThis).WebSocket;
  }

  #dial() {
    const Socket = this.#implementation();
    let socket;
    try {
      socket = /** @type {WebSocketLike} */ (new Socket(this.#url));
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      this.#lose(null, { error: new CereusError(Code.UNAVAILABLE, message, {}, cause), final: true });
      return;
    }
    const connection = (this.#connection = new Connection(socket));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#guard(connection, () => this.#greet(connection));
    socket.onmessage = (event) => this.#guard(connection, () => this.#receive(connection, event.data));
    socket.onclose = (event) => this.#hangUp(connection, event);
    socket.onerror = () => {}; // says nothing that the close event after it does not
    const limit = this.#options.connectTimeout ?? 10000;
    connection.deadline = setTimeout(() => {
      this.#lose(connection, { error: new CereusError(Code.TIMEOUT, `no handshake within ${limit} ms`) });
    }, Math.min(limit, MAX_TIMER));
  }

  /**
   * Nothing may escape from a socket's callback: whatever it is, it ends the connection.
   * @param {Connection} connection @param {() => void} callback
   */
  #guard(connection, callback) {
    try {
      callback();
    } catch (e) {
      this.#refuse(connection, e);
    }
  }

  /** @param {Connection} connection */
  #greet(connection) {
    const { user, platform = 'js', clientBuildNumber = '1', clientVersion = '0.1' } = this.#options;
    const sys = { platform, libVersion: `cereus-js-${VERSION}`, clientBuildNumber, clientVersion };
    const body = user && Object.keys(user).length > 0 ? { sys, user } : { sys };
    connection.send(encodePacket(PacketType.HANDSHAKE, utf8.encode(JSON.stringify(body))));
  }

  /** @param {Connection} connection @param {unknown} data */
  #receive(connection, data) {
    if (connection.deaf) return;
    connection.heardAt = Date.now();
    if (!(data instanceof ArrayBuffer)) throw malformed('a text message');
    const { type, body } = decodePacket(new Uint8Array(data));
    switch (type) {
      case PacketType.HEARTBEAT:
        return this.#answerHeartbeat(connection);
      case PacketType.KICK:
        connection.deaf = true;
        return this.#later(connection, () => {
          const kick = readKick(body);
          this.#lose(connection, { reason: 'kicked', code: kick.code, kick, final: true });
        });
      case PacketType.HANDSHAKE:
        return this.#later(connection, () => this.#handshake(connection, body));
      case PacketType.DATA:
        return this.#later(connection, () => this.#message(connection, body));
      default:
        throw malformed(`a packet of type ${type}`);
    }
  }

  /**
   * Queues a step behind the messages that came before it.
   * @param {Connection} connection @param {() => Promise<void> | void} step
   */
  #later(connection, step) {
    connection.inbox.push(() => {
      if (connection.over) return;
      try {
        return step()?.catch((e) => this.#lose(connection, { error: asError(e) }));
      } catch (e) {
        this.#lose(connection, { error: asError(e) });
      }
    });
  }

  /** Ends the connection for what came from it, after what came before. @param {Connection} connection @param {unknown} e */
  #refuse(connection, e) {
    connection.deaf = true;
    this.#later(connection, () => this.#lose(connection, { error: asError(e) }));
  }

  /** @param {Connection} connection @param {any} event */
  #hangUp(connection, event) {
    connection.deaf = true;
    const why = event?.reason || (event?.code ? `code ${event.code}` : '');
    const what = connection.greeted ? 'connection lost' : 'could not connect';
    const code = connection.greeted ? Code.CLOSED : Code.UNAVAILABLE;
    const said = connection.greeted && Number.isInteger(event?.code) && event.code !== 1005 && event.code !== 1006 ? event.code : undefined;
    this.#later(connection, () => {
      this.#lose(connection, {
        error: new CereusError(code, why ? `${what} (${why})` : what), code: said, final: comeBack(said) === 'never',
      });
    });
  }

  /**
   * The one end of every connection, and of waiting for one.
   * @param {Connection | null} connection
   * @param {{ error?: CereusError, reason?: string, code?: number, kick?: KickEvent, final?: boolean }} end
   */
  #lose(connection, { error, reason = error?.message ?? '', code, kick, final = false }) {
    if (connection?.over || connection !== this.#connection) return;
    connection?.release();
    clearTimeout(this.#retryTimer);
    this.#connection = null;
    if (connection?.greeted && Date.now() - connection.openedAt > STABLE_MS) this.#failures = 0;
    const again = !final && this.#comesBack(connection);
    this.#state = again ? 'reconnecting' : 'closed';
    if (again) this.#retryTimer = setTimeout(() => this.#dial(), this.#wait(comeBack(code) === 'later'));
    const opening = this.#opening;
    if (!again) this.#opening = null;
    this.#rejectAll(error, reason);
    if (!again) opening?.reject(error ?? new CereusError(Code.CLOSED, reason));
    if (kick) this.#emit('kick', kick);
    if (error) this.#emit('error', error);
    this.#announce();
    /** @type {CloseEvent} */
    const event = { reason, reconnecting: again };
    if (code !== undefined) event.code = code;
    if (error) event.error = error;
    this.#emit('close', event);
  }

  /** @param {Connection | null} connection */
  #comesBack(connection) {
    if (!this.#reconnect || !(connection?.greeted || this.#state === 'reconnecting')) return false;
    return this.#failures < this.#reconnect.attempts;
  }

  /**
   * The next wait, in milliseconds: twice as long with every failure, and between half and all of that.
   * A server that has too much to do, or sent this client away for doing too much, gets the longest.
   * @param {boolean} later
   */
  #wait(later) {
    const { min, max } = /** @type {Required<ReconnectOptions>} */ (this.#reconnect);
    const most = later ? max : Math.min(max, min * 2 ** this.#failures);
    this.#failures++;
    return most * (0.5 + Math.random() / 2);
  }

  /** @param {CereusError | undefined} error @param {string} reason */
  #rejectAll(error, reason) {
    for (const { reject, route } of [...this.#pending.values()]) {
      reject(new CereusError(Code.CLOSED, reason || 'connection lost', { route }, error));
    }
  }

  // ---- what a server sends ----

  /** @param {Connection} connection @param {Uint8Array} body @returns {Promise<void> | void} */
  #handshake(connection, body) {
    if (connection.greeted) throw malformed('a second handshake');
    const format = compressionOf(body);
    if (!format) return this.#open(connection, readHandshake(body));
    return this.#inflate(body, format).then((plain) => {
      if (!connection.over) this.#open(connection, readHandshake(plain));
    });
  }

  /** @param {Connection} connection @param {ReturnType<typeof readHandshake>} handshake */
  #open(connection, handshake) {
    const refusal = this.#refusal(handshake);
    if (refusal) return this.#lose(connection, { error: refusal, final: true });
    connection.dictionary = handshake.dictionary;
    connection.send(encodePacket(PacketType.HANDSHAKE_ACK));
    connection.greeted = true;
    connection.openedAt = Date.now();
    clearTimeout(connection.deadline);
    this.#startHeartbeats(connection, handshake.heartbeat * 1000);
    this.#state = 'open';
    const opening = this.#opening;
    this.#opening = null;
    opening?.resolve();
    this.#announce();
  }

  /** @param {ReturnType<typeof readHandshake>} handshake */
  #refusal({ code, serializer }) {
    if (code !== 200) {
      return new CereusError(Code.BAD_REQUEST, `the server refused the handshake (${code})`, { handshake: String(code) });
    }
    if (serializer === this.#serializer.name) return undefined;
    return new CereusError(Code.BAD_REQUEST,
      `the server speaks ${serializer}, this client ${this.#serializer.name}: pass the option "serializer"`);
  }

  /** @param {Connection} connection @param {Uint8Array} body @returns {Promise<void> | void} */
  #message(connection, body) {
    if (!connection.greeted) throw malformed('data before the handshake');
    const message = decodeMessage(body, connection.dictionary);
    if (!message.compressed) return this.#deliver(connection, message);
    return this.#inflate(message.data, 'deflate').then((data) => {
      if (!connection.over) return this.#deliver(connection, { ...message, data });
    });
  }

  /** @param {Uint8Array} bytes @param {'deflate' | 'gzip'} format */
  async #inflate(bytes, format) {
    return (this.#options.inflate ?? inflate)(bytes, format, this.#options.maxInflated ?? 16 << 20);
  }

  /** @param {Connection} connection @param {Message} message @returns {Promise<void> | void} */
  #deliver(connection, message) {
    if (message.type === MessageType.PUSH) return this.#push(message);
    if (message.type !== MessageType.RESPONSE) throw malformed('a message only clients send');
    this.#respond(message);
    return connection.inbox.waiting ? breathe() : undefined;
  }

  /** @param {Message} message */
  #push({ route, data }) {
    const listeners = this.#pushes.get(route);
    if (!listeners?.size) return;
    let value;
    try {
      value = this.#decode(data, route);
    } catch (e) {
      this.#emit('error', asError(e));
      return;
    }
    this.#call(listeners, value, route);
  }

  /** An answer nobody waits for any more is dropped. @param {Message} message */
  #respond({ id, data, error }) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    if (error) return pending.reject(decodeError(data, this.#serializer.name));
    try {
      pending.resolve(this.#decode(data, pending.route));
    } catch (e) {
      pending.reject(asError(e));
    }
  }

  /** @param {Uint8Array} data @param {string} route */
  #decode(data, route) {
    if (data.length === 0) return undefined;
    try {
      return this.#serializer.decode(data, route);
    } catch (cause) {
      throw malformed(`${route} carries no ${this.#serializer.name}`, cause);
    }
  }

  // ---- heartbeats (wire.md 2.5) ----

  /** @param {Connection} connection @param {number} interval milliseconds; 0 or less: the server wants none */
  #startHeartbeats(connection, interval) {
    if (!(interval > 0 && interval * 3 <= MAX_TIMER)) return;
    connection.interval = interval;
    connection.beat = setInterval(() => this.#heartbeat(connection), interval);
    this.#watch(connection, interval * 2 + (this.#options.heartbeatSlack ?? Math.min(interval / 2, 5000)));
  }

  /** @param {Connection} connection */
  #heartbeat(connection) {
    this.#guard(connection, () => connection.send(encodePacket(PacketType.HEARTBEAT)));
  }

  /**
   * Browsers slow the timers of hidden tabs down, but not their sockets: a heartbeat that is overdue goes out now.
   * @param {Connection} connection
   */
  #answerHeartbeat(connection) {
    const { interval, saidAt } = connection;
    if (interval > 0 && Date.now() - saidAt > interval * 1.5) this.#heartbeat(connection);
  }

  /**
   * Ends the connection after `limit` milliseconds of silence.
   * @param {Connection} connection @param {number} limit
   */
  #watch(connection, limit) {
    const due = connection.heardAt + limit;
    const grace = Math.min(limit / 4, 1000);
    connection.deadline = setTimeout(() => {
      if (connection.heardAt + limit > due) return this.#watch(connection, limit);
      const silent = () => {
        if (connection.heardAt + limit > due) return this.#watch(connection, limit);
        this.#lose(connection, { error: new CereusError(Code.CLOSED, 'the server went silent') });
      };
      // A timer that fires late was asleep with the whole process, and what the server sent is still to be read.
      if (Date.now() - due <= grace) return silent();
      connection.deadline = setTimeout(silent, grace);
    }, Math.max(0, due - Date.now()));
  }

  // ---- listeners ----

  #announce() {
    if (this.#announced === this.#state) return;
    this.#announced = this.#state;
    this.#emit('state', this.#state);
  }

  /** @param {string} name @param {any} value */
  #emit(name, value) {
    const set = /** @type {Set<Function>} */ (this.#events.get(name));
    this.#call(set, value, undefined, name === 'error');
  }

  /**
   * What a listener throws goes to the listeners of "error", or to the console when there are none or they throw.
   * @param {Set<Function>} listeners @param {any} value @param {string} [route] @param {boolean} [last]
   */
  #call(listeners, value, route, last = false) {
    for (const listener of [...listeners]) {
      try {
        listener(value, route);
      } catch (e) {
        if (last || !this.#events.get('error')?.size) console.error('cereus: a listener threw', e);
        else this.#emit('error', e);
      }
    }
  }
}

/** @param {Set<Function>} set @param {Function} listener */
function subscribe(set, listener) {
  /** @param {any[]} args */
  const own = (...args) => listener(...args); // one function may listen twice
  set.add(own);
  return () => void set.delete(own);
}

/** @param {unknown} e @returns {CereusError} */
function asError(e) {
  if (e instanceof CereusError) return e;
  return new CereusError(Code.INTERNAL, e instanceof Error ? e.message : String(e), {}, e);
}
