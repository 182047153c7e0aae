// A frontend for tests: answers handshakes, hands over messages, sends what it is told.
// @ts-check
import { deflateSync } from 'node:zlib';
import { Dictionary, MessageType, PacketType, decodeMessage, decodePacket, encodeMessage, encodePacket } from '../cereus.js';
import { listen } from './websocket.js';

const json = (/** @type {any} */ v) => Buffer.from(JSON.stringify(v));

/** @typedef {import('../cereus.js').Message} Message */

/** One client of a FakeServer. */
export class Peer {
  /** @type {any} */
  handshake = null;
  acknowledged = false;
  heartbeats = 0;
  /** @type {Message[]} */
  messages = [];

  /** @param {import('./websocket.js').ServerSocket} socket @param {any} options */
  constructor(socket, options) {
    this.socket = socket;
    this.options = options;
    this.dictionary = new Dictionary(options.dict);
    socket.onmessage = (m) => this.#packet(decodePacket(m));
  }

  /** @param {{ type: number, body: Uint8Array }} packet */
  #packet({ type, body }) {
    if (type === PacketType.HEARTBEAT) this.heartbeats++;
    if (type === PacketType.HANDSHAKE_ACK) this.acknowledged = true;
    if (type === PacketType.HANDSHAKE) {
      this.handshake = JSON.parse(Buffer.from(body).toString());
      if (!this.options.mute) this.greet();
    }
    if (type !== PacketType.DATA) return;
    const message = decodeMessage(body, this.dictionary);
    this.messages.push(message);
    this.options.handle?.(this, message);
  }

  greet() {
    const { code = 200, heartbeat = 30, dict = {}, serializer = 'json', zlib = false } = this.options;
    const plain = json({ code, sys: { dict, heartbeat, serializer } });
    this.socket.send(encodePacket(PacketType.HANDSHAKE, zlib ? deflateSync(plain) : plain));
    if (code !== 200) this.socket.close();
  }

  /** @param {number} id @param {any} body */
  respond(id, body) {
    this.socket.send(response(id, body));
  }

  /** @param {number} id @param {any} body */
  fail(id, body) {
    this.socket.send(data({ type: MessageType.RESPONSE, id, error: true, data: json(body) }));
  }

  /** @param {string} route @param {any} body */
  push(route, body) {
    this.socket.send(push(route, body));
  }

  heartbeat() {
    this.socket.send(encodePacket(PacketType.HEARTBEAT));
  }

  /** @param {any} [body] */
  kick(body) {
    this.socket.send(encodePacket(PacketType.KICK, body === undefined ? undefined : json(body)));
    this.socket.close();
  }
}

/** @param {any} message @param {Dictionary} [dictionary] */
export const data = (message, dictionary) => encodePacket(PacketType.DATA, encodeMessage(message, dictionary));

/** @param {string} route @param {any} body */
export const push = (route, body) => data({ type: MessageType.PUSH, route, data: json(body) });

/** @param {string} route @param {any} body */
export const zlibPush = (route, body) =>
  data({ type: MessageType.PUSH, route, data: deflateSync(json(body)), compressed: true });

/** @param {number} id @param {any} body */
export const response = (id, body) => data({ type: MessageType.RESPONSE, id, data: json(body) });

/** @param {number} id @param {any} body */
export const zlibResponse = (id, body) =>
  data({ type: MessageType.RESPONSE, id, data: deflateSync(json(body)), compressed: true });

/**
 * Options of the handshake: code, heartbeat, dict, serializer, zlib, mute; handle(peer, message); port.
 * @param {any} [options]
 */
export async function fakeServer(options = {}) {
  /** @type {Peer[]} */
  const peers = [];
  const server = await listen((socket) => peers.push(new Peer(socket, options)), options);
  return { ...server, peers, options };
}
