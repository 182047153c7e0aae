// The encoders and decoders against bytes that real servers produced.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  CereusError, Code, Dictionary, MAX_PACKET_BODY, MessageType, PacketType,
  compressionOf, decodeError, decodeMessage, decodePacket, encodeMessage, encodePacket, inflate, nextId,
} from './cereus.js';

const vectors = JSON.parse(readFileSync(new URL('./testdata/vectors.json', import.meta.url), 'utf8'));
const group = (name) => vectors.filter((v) => v.group === name);
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (b) => Buffer.from(b).toString('hex');
const TYPES = { Request: 0, Notify: 1, Response: 2, Push: 3 };
const LIMIT = 1 << 20;

// The dictionaries the vectors were made with; the same route has two codes among them.
const SMALL = new Dictionary({ 'connector.room.join': 1, onMessage: 300 });
const dictionaryOf = (name) => (name.includes('_dict_') ? SMALL : undefined);

for (const v of group('packet')) {
  test(`packet ${v.name}`, () => {
    if (v.error) {
      const type = v.name === 'pkt_type0' ? 0 : v.name === 'pkt_type6' ? 6 : PacketType.DATA;
      const body = v.error.includes('exceed') ? new Uint8Array(MAX_PACKET_BODY + 2) : new Uint8Array(0);
      assert.throws(() => encodePacket(type, body), CereusError);
      return;
    }
    if (v.name === 'pkt_len_1shl24_bug') {
      assert.throws(() => encodePacket(PacketType.DATA, new Uint8Array(MAX_PACKET_BODY + 1)), { code: Code.TOO_LARGE });
      return;
    }
    const want = bytes(v.hex);
    const length = v.decoded.data_len ?? want.length - 4;
    if (length !== want.length - 4) { // the vector shows only the beginning
      assert.equal(hex(encodePacket(v.decoded.type, new Uint8Array(length)).subarray(0, want.length)), v.hex);
      return;
    }
    const { type, body } = decodePacket(want);
    assert.equal(type, want[0]);
    assert.equal(hex(encodePacket(type, body)), v.hex);
  });
}

for (const v of group('packet-decode')) {
  test(`one packet per message: ${v.name}`, () => {
    const whole = v.decoded?.length === 1 && bytes(v.hex).length === 4 + v.decoded[0].length;
    if (!whole) {
      assert.throws(() => decodePacket(bytes(v.hex)), CereusError);
      return;
    }
    const { type, body } = decodePacket(bytes(v.hex));
    assert.deepEqual({ type, data_hex: hex(body) }, { type: v.decoded[0].type, data_hex: v.decoded[0].data_hex });
  });
}

for (const v of group('message')) {
  test(`message ${v.name}`, async () => {
    if (v.error) {
      assert.throws(() => encodeMessage({ type: 4, route: 'a.b' }), CereusError);
      return;
    }
    const m = decodeMessage(bytes(v.hex), dictionaryOf(v.name));
    const want = v.decoded;
    assert.equal(m.type, TYPES[want.type]);
    assert.equal(m.id, want.id);
    assert.equal(m.error, want.err);
    if (m.type !== MessageType.RESPONSE) assert.equal(m.route, want.route);
    assert.equal(m.compressed, want.gzip_flag);
    const plain = m.compressed ? await inflate(m.data, 'deflate', LIMIT) : m.data;
    assert.equal(hex(plain), want.body_hex);
    if (m.id > Number.MAX_SAFE_INTEGER || v.name === 'msg_dict_response') return; // ids we never make; a quirk we never send
    assert.equal(hex(encodeMessage(m, dictionaryOf(v.name))), v.hex);
  });
}

for (const v of group('message-decode')) {
  test(`message ${v.name}`, async () => {
    const read = async () => {
      const m = decodeMessage(bytes(v.hex), dictionaryOf(v.name));
      return { ...m, data: m.compressed ? await inflate(m.data, 'deflate', LIMIT) : m.data };
    };
    // An id without an end: the reference reads on behind the flag byte, wire.md 3.2 says to reject it.
    if (v.error || v.name === 'msgdec_id_unterminated') {
      await assert.rejects(read, CereusError);
      return;
    }
    const m = await read();
    assert.deepEqual(
      { type: m.type, id: m.id, route: m.route, err: m.error, body_hex: hex(m.data) },
      { type: TYPES[v.decoded.type], id: v.decoded.id, route: v.decoded.route, err: v.decoded.err, body_hex: v.decoded.body_hex },
    );
  });
}

for (const v of group('handshake').filter((v) => v.name.startsWith('hs_'))) {
  test(`handshake ${v.name}`, async () => {
    const { type, body } = decodePacket(bytes(v.hex));
    assert.equal(type, PacketType.HANDSHAKE);
    assert.equal(compressionOf(body) === 'deflate', v.decoded.zlib);
    const plain = v.decoded.zlib ? await inflate(body, 'deflate', LIMIT) : body;
    assert.equal(Buffer.from(plain).toString(), v.decoded.json);
  });
}

for (const v of group('zlib')) {
  test(`zlib ${v.name}`, async () => {
    if (v.direction === 'decode') {
      assert.equal(compressionOf(bytes(v.hex)) !== '', v.decoded);
      return;
    }
    assert.equal((await inflate(bytes(v.hex), 'deflate', LIMIT)).length, v.decoded.input_len);
  });
}

test('inflating stops at its limit', async () => {
  const { deflateSync, gzipSync } = await import('node:zlib');
  const bomb = new Uint8Array(deflateSync(Buffer.alloc(8 << 20)));
  await assert.rejects(inflate(bomb, 'deflate', LIMIT), CereusError);
  assert.equal((await inflate(bomb, 'deflate', 8 << 20)).length, 8 << 20);
  await assert.rejects(inflate(bomb.subarray(0, 20), 'deflate', LIMIT), CereusError);
  assert.equal((await inflate(new Uint8Array(gzipSync('hello')), 'gzip', LIMIT)).length, 5);
});

test('error bodies, json and protobuf', () => {
  const body = (name) => decodeMessage(bytes(vectors.find((v) => v.name === name).hex)).data;
  for (const [name, serializer] of [['msg_response_error_json', 'json'], ['msg_response_error_protobuf', 'protobuf']]) {
    const e = decodeError(body(name), serializer);
    assert.equal(e.code, 'PIT-404');
    assert.match(e.message, /^pitaya\/handler: connector\.room\.nope/);
    assert.deepEqual(e.metadata, {});
  }
  const e = decodeError(bytes('0a0141' + '1a06' + '0a016b120176'), 'protobuf');
  assert.deepEqual([e.code, e.message, e.metadata], ['A', '', { k: 'v' }]);
  for (const junk of ['', '00', '0aff', '08', '7b', '6e756c6c', '1aff'].map(bytes)) {
    for (const serializer of ['json', 'protobuf']) {
      assert.equal(decodeError(junk, serializer).code, Code.INTERNAL);
    }
  }
});

test('ids up to 2^32 and routes up to 255 bytes survive', () => {
  for (const id of [0, 1, 127, 128, 300, 16383, 16384, 2 ** 31, 2 ** 32 - 1]) {
    assert.equal(decodeMessage(encodeMessage({ type: 0, id, route: 'a.b' })).id, id);
  }
  assert.equal(decodeMessage(encodeMessage({ type: 3, route: 'é'.repeat(127) })).route, 'é'.repeat(127));
  assert.throws(() => encodeMessage({ type: 3, route: 'é'.repeat(128) }), { code: Code.BAD_REQUEST });
  assert.throws(() => encodeMessage({ type: 0, id: -1, route: 'a.b' }), { code: Code.BAD_REQUEST });
});

test('request ids wrap to 1 and leave out those still waiting', () => {
  assert.equal(nextId(0, new Set()), 1);
  assert.equal(nextId(2 ** 32 - 2, new Set()), 2 ** 32 - 1);
  assert.equal(nextId(2 ** 32 - 1, new Set()), 1);
  assert.equal(nextId(2 ** 32 - 2, new Set([2 ** 32 - 1, 1, 2])), 3);
});

test('random bytes are decoded or refused, nothing else', () => {
  for (let i = 0; i < 20000; i++) {
    const b = crypto.getRandomValues(new Uint8Array(i % 40));
    if (b.length > 0 && i % 2) b[0] &= 0x3f;
    for (const decode of [decodePacket, (x) => decodeMessage(x, SMALL)]) {
      try {
        decode(b);
      } catch (e) {
        assert.ok(e instanceof CereusError, `${e} from ${hex(b)}`);
      }
    }
  }
});
