// WebSocket by hand (RFC 6455), as much of it as the tests need: frames, a server on node:http and a client with the
// browser's interface, as Node 20 has none.
// @ts-check
import { createHash, randomBytes } from 'node:crypto';
import { createServer, request } from 'node:http';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

/** @param {string} key */
const accept = (key) => createHash('sha1').update(key + GUID).digest('base64');

/** @param {number} opcode @param {Uint8Array} payload @param {boolean} masked @returns {Buffer} */
function encodeFrame(opcode, payload, masked) {
  const n = payload.length;
  const head = n < 126 ? Buffer.alloc(2) : n < 65536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  head[1] = (masked ? 0x80 : 0) | (n < 126 ? n : n < 65536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(n, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(n), 2);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((b, i) => b ^ mask[i & 3])]);
}

/** Calls onFrame for every whole frame of a byte stream. No fragmentation. */
class FrameReader {
  #rest = Buffer.alloc(0);

  /** @param {(opcode: number, payload: Buffer) => void} onFrame */
  constructor(onFrame) {
    this.onFrame = onFrame;
  }

  /** @param {Buffer} chunk */
  write(chunk) {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#one());
  }

  #one() {
    const b = this.#rest;
    if (b.length < 2) return false;
    let n = b[1] & 0x7f;
    let at = 2;
    if (n === 126) {
      if (b.length < 4) return false;
      [n, at] = [b.readUInt16BE(2), 4];
    } else if (n === 127) {
      if (b.length < 10) return false;
      [n, at] = [Number(b.readBigUInt64BE(2)), 10];
    }
    const masked = (b[1] & 0x80) !== 0;
    const start = at + (masked ? 4 : 0);
    if (b.length < start + n) return false;
    const payload = Buffer.from(b.subarray(start, start + n));
    if (masked) payload.forEach((_, i) => (payload[i] ^= b[at + (i & 3)]));
    this.#rest = b.subarray(start + n);
    this.onFrame(b[0] & 0x0f, payload);
    return true;
  }
}

/** One accepted connection of a WebSocketServer. */
export class ServerSocket {
  closed = false;
  /** @type {(message: Buffer) => void} */
  onmessage = () => {};
  onclose = () => {};

  /** @param {import('node:stream').Duplex} stream */
  constructor(stream) {
    this.stream = stream;
    const reader = new FrameReader((opcode, payload) => {
      if (opcode === BINARY) this.onmessage(payload);
      if (opcode === CLOSE) this.close();
    });
    stream.on('data', (chunk) => reader.write(chunk));
    stream.on('error', () => {});
    stream.on('close', () => {
      this.closed = true;
      this.onclose();
    });
  }

  /** @param {Uint8Array} message */
  send(message) {
    this.stream.write(encodeFrame(BINARY, message, false));
  }

  /** @param {string} message */
  sendText(message) {
    this.stream.write(encodeFrame(TEXT, Buffer.from(message), false));
  }

  /** Several messages in one write, so that they arrive together. @param {Uint8Array[]} messages */
  sendTogether(messages) {
    this.stream.write(Buffer.concat(messages.map((m) => encodeFrame(BINARY, m, false))));
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code = 1000, reason = '') {
    const body = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
    if (this.stream.writable) this.stream.end(encodeFrame(CLOSE, body, false));
  }

  /** Cuts the connection without a word. */
  destroy() {
    this.stream.destroy();
  }
}

/**
 * @param {(socket: ServerSocket) => void} onSocket
 * @param {{ port?: number, onRequest?: import('node:http').RequestListener }} [options]
 */
export async function listen(onSocket, { port = 0, onRequest } = {}) {
  const server = createServer(onRequest);
  /** @type {Set<ServerSocket>} */
  const sockets = new Set();
  server.on('upgrade', (req, stream) => {
    const key = String(req.headers['sec-websocket-key']);
    stream.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept(key)}\r\n\r\n`);
    const socket = new ServerSocket(stream);
    sockets.add(socket);
    stream.on('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  const close = () => new Promise((resolve) => {
    sockets.forEach((s) => s.destroy());
    server.closeAllConnections();
    server.close(resolve);
  });
  return { port: address.port, url: `ws://127.0.0.1:${address.port}/`, sockets, close };
}

/** The browser's WebSocket, in the parts that cereus.js uses. */
export class WebSocketClient {
  binaryType = 'arraybuffer';
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {import('node:stream').Duplex | null} */
  #stream = null;
  #over = false;
  #req;

  /** @param {string} url */
  constructor(url) {
    const { hostname, port, pathname } = new URL(url);
    const key = randomBytes(16).toString('base64');
    this.#req = request({
      hostname, port, path: pathname,
      headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key },
    });
    this.#req.on('upgrade', (res, stream, head) => {
      if (res.headers['sec-websocket-accept'] !== accept(key)) return this.#end(1006);
      this.#opened(stream, head);
    });
    this.#req.on('response', () => this.#end(1006));
    this.#req.on('error', () => this.#end(1006));
    this.#req.end();
  }

  /** @param {import('node:stream').Duplex} stream @param {Buffer} head */
  #opened(stream, head) {
    this.#stream = stream;
    if (this.#over) return stream.destroy();
    const reader = new FrameReader((opcode, payload) => this.#frame(opcode, payload));
    stream.on('error', () => {});
    stream.on('close', () => this.#end(1006));
    this.onopen?.({});
    stream.on('data', (chunk) => reader.write(chunk));
    reader.write(head);
  }

  /** @param {number} opcode @param {Buffer} payload */
  #frame(opcode, payload) {
    if (this.#over) return;
    if (opcode === BINARY) this.onmessage?.({ data: new Uint8Array(payload).buffer });
    if (opcode === TEXT) this.onmessage?.({ data: payload.toString() });
    if (opcode === PING) this.#stream?.write(encodeFrame(PONG, payload, true));
    if (opcode === CLOSE) this.#end(payload.length >= 2 ? payload.readUInt16BE() : 1005);
  }

  /** @param {number} code */
  #end(code) {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.end();
    this.onclose?.({ code, reason: '' });
  }

  /** @param {Uint8Array} data */
  send(data) {
    if (!this.#over) this.#stream?.write(encodeFrame(BINARY, data, true));
  }

  close(code = 1000) {
    if (this.#over) return;
    if (this.#stream) this.#stream.end(encodeFrame(CLOSE, Buffer.from([code >> 8, code & 0xff]), true));
    else this.#req.destroy();
    this.#end(code);
  }
}
