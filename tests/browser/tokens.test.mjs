// SPDX-License-Identifier: Apache-2.0
// What the encryptor makes opens, and looks as its profile says.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { encryptPassword } from "./encryptor.mjs";
import {
  AIRLOCK_NONCE,
  airlockJwe,
  airlockKms,
  KMS_NONCE,
  NONCE,
  openJwe,
  openKms,
  rsaKey,
  sealpass,
  thumbprint,
} from "./server.mjs";

const PASSWORDS = [
  "",
  "x",
  " leading, trailing and\ttabs ",
  "korrekt Pferd ☃ Batterie",
  'quote " backslash \\ slash / brace }',
  "line\nend\r\n, NUL \0 and other controls \u0001\u001f\u007f\u0085\u2028\u2029",
  "composed \u00e9 and decomposed e\u0301 stay apart; no-break\u00a0space, BOM \ufeff",
  "beyond the BMP: 😀👩‍👩‍👧 𝒳",
  "__proto__",
];
const ALPHABETS = ["a", "ß", "☃", "😀", '"', "\u0001"];
const text = (payload) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
/** How many values a part has among opened tokens. */
const different = (opened, part) => new Set(opened.map((one) => one[part].toString("hex"))).size;

describe("profile sealpass", () => {
  test("the header has exactly alg, enc, kid and nonce, as announced", async () => {
    const information = sealpass();
    const { header } = openJwe(await encryptPassword(information, "secret"));
    assert.deepEqual(Object.keys(header), ["alg", "enc", "kid", "nonce"]);
    const kid = thumbprint(information.publicKey);
    assert.deepEqual(header, { alg: "RSA-OAEP-256", enc: "A256GCM", kid, nonce: NONCE });
  });

  test("the payload is the password as JSON, padded with spaces to a multiple of 64 bytes", async () => {
    for (const password of PASSWORDS) {
      const payload = text(openJwe(await encryptPassword(sealpass(), password)).payload);
      assert.equal(Buffer.byteLength(payload) % 64, 0);
      assert.match(payload, /^\{"password":".*"\} *$/s);
      assert.deepEqual(JSON.parse(payload), { password });
    }
  });

  test("passwords of every length up to 200 open, and equal buckets give tokens of equal length", async () => {
    const lengths = new Map();
    for (let count = 0; count <= 200; count++) {
      const password = ALPHABETS[count % ALPHABETS.length].repeat(count);
      const token = await encryptPassword(sealpass(), password);
      const { payload } = openJwe(token);
      const unpadded = Buffer.byteLength(JSON.stringify({ password }));
      assert.equal(payload.length, Math.ceil(unpadded / 64) * 64);
      assert.equal(JSON.parse(text(payload)).password, password);
      assert.equal(lengths.get(payload.length) ?? token.length, token.length);
      lengths.set(payload.length, token.length);
    }
  });

  test("the password stands at /password, whatever place the options have for another profile", async () => {
    const { payload } = openJwe(await encryptPassword(sealpass(), "secret", { passwordPointer: "/other" }));
    assert.deepEqual(JSON.parse(text(payload)), { password: "secret" });
  });

  test("no key and no IV serves two tokens, whether they are made in turn or at once", async () => {
    const information = sealpass();
    const tokens = [];
    for (let count = 0; count < 40; count++) tokens.push(await encryptPassword(information, "same"));
    tokens.push(...(await Promise.all(Array.from({ length: 40 }, () => encryptPassword(information, "same")))));
    const opened = tokens.map((token) => openJwe(token));
    assert.equal(different(opened, "cek"), tokens.length);
    assert.equal(different(opened, "iv"), tokens.length);
    assert.ok(opened.every(({ cek }) => cek.length === 32));
  });

  test("RSA-OAEP with SHA-1 is made where the page allows it", async () => {
    const token = await encryptPassword(sealpass({}, { alg: "RSA-OAEP" }), "secret", { allowSha1: true });
    const { header, payload } = openJwe(token);
    assert.equal(header.alg, "RSA-OAEP");
    assert.equal(JSON.parse(text(payload)).password, "secret");
  });

  test("allowing SHA-1 does not choose it", async () => {
    assert.equal(openJwe(await encryptPassword(sealpass(), "secret", { allowSha1: true })).header.alg, "RSA-OAEP-256");
  });

  test("longer keys work, also where their length is no multiple of 8 bits", async () => {
    for (const bits of [2056, 3072, 4096]) {
      const key = rsaKey(bits);
      const { payload } = openJwe(await encryptPassword(sealpass({}, {}, key), "secret"), key);
      assert.equal(JSON.parse(text(payload)).password, "secret");
    }
  });

  test("a pinned key is taken", async () => {
    const information = sealpass();
    const pinnedThumbprints = ["A".repeat(43), thumbprint(information.publicKey)];
    await encryptPassword(information, "secret", { pinnedThumbprints, profile: "sealpass" });
  });

  test("key_ops that allow wrapping are taken", async () => {
    for (const key_ops of [["wrapKey"], ["encrypt"], ["verify", "wrapKey"]]) {
      await encryptPassword(sealpass({ key_ops }), "secret");
    }
  });

  test("what the page changes after the call changes nothing", async () => {
    const information = sealpass();
    const foreign = sealpass({}, {}, rsaKey(2048));
    const promise = encryptPassword(information, "secret");
    Object.assign(information, { nonce: "B".repeat(43), enc: "A128GCM", profile: "airlock-jwe" });
    Object.assign(information.publicKey, foreign.publicKey);
    const { header } = openJwe(await promise);
    assert.equal(header.nonce, NONCE);
  });

  test("the announcement may be frozen, and is left as it was", async () => {
    const information = sealpass();
    const before = JSON.stringify(information);
    Object.freeze(information.publicKey);
    await encryptPassword(Object.freeze(information), "secret");
    assert.equal(JSON.stringify(information), before);
  });
});

describe("profile airlock-jwe", () => {
  test("Airlock's three members are enough; its example's algorithms are the defaults", async () => {
    for (const password of PASSWORDS) {
      const { header, payload, cek } = openJwe(await encryptPassword(airlockJwe(), password));
      assert.deepEqual(header, { alg: "RSA-OAEP-256", enc: "A128GCM", nonce: AIRLOCK_NONCE });
      assert.equal(text(payload), JSON.stringify({ password }));
      assert.equal(cek.length, 16);
    }
  });

  test("alg comes from the announcement, else from the key", async () => {
    const options = { allowSha1: true };
    const stated = await encryptPassword(airlockJwe({}, { alg: "RSA-OAEP" }), "secret", options);
    assert.equal(openJwe(stated).header.alg, "RSA-OAEP");
    const keyed = await encryptPassword(airlockJwe({ alg: "RSA-OAEP" }), "secret", options);
    assert.equal(openJwe(keyed).header.alg, "RSA-OAEP");
  });

  test("an announced A256GCM is used, and a kid of the key's own is not sent", async () => {
    const information = airlockJwe({ kid: "e2ee-2026" }, { enc: "A256GCM" });
    const { header, cek } = openJwe(await encryptPassword(information, "secret"));
    assert.deepEqual(header, { alg: "RSA-OAEP-256", enc: "A256GCM", nonce: AIRLOCK_NONCE });
    assert.equal(cek.length, 32);
  });

  test("tokens have up to 8192 bytes, and the limit is exact", async () => {
    const encoded = (octets) => Math.ceil((octets * 4) / 3);
    const lengths = new Set();
    for (let size = 1; size <= 4; size++) {
      const nonce = "A".repeat(size);
      const header = JSON.stringify({ alg: "RSA-OAEP-256", enc: "A128GCM", nonce });
      for (let count = 5700; count < 5850; count++) {
        const parts = [header.length, 256, 12, '{"password":""}'.length + count, 16];
        const expected = parts.map(encoded).reduce((sum, part) => sum + part, 4);
        if (expected < 8188 || expected > 8196) continue;
        lengths.add(expected);
        const promise = encryptPassword(airlockJwe({}, { nonce }), "p".repeat(count));
        if (expected <= 8192) assert.equal((await promise).length, expected);
        else await assert.rejects(promise, { code: "too-long" });
      }
    }
    assert.ok(lengths.has(8192) && lengths.has(8193), [...lengths].join());
  });

  test("the password can stand at another JSON Pointer", async () => {
    const expected = new Map([
      ["/password", '{"password":"secret"}'],
      ["/credentials/new", '{"credentials":{"new":"secret"}}'],
      ["/a~1b/m~0n/~01", '{"a/b":{"m~n":{"~1":"secret"}}}'],
      ["/__proto__", '{"__proto__":"secret"}'],
      ["/", '{"":"secret"}'],
      ["", '"secret"'],
    ]);
    for (const [passwordPointer, json] of expected) {
      assert.equal(text(openJwe(await encryptPassword(airlockJwe(), "secret", { passwordPointer })).payload), json);
    }
  });
});

describe("profile airlock-kms", () => {
  const forms = [
    [{}, 32, Buffer.from(KMS_NONCE, "ascii")],
    [{ kmsAad: "text", kmsKeyBits: 256 }, 32, Buffer.from(KMS_NONCE, "ascii")],
    [{ kmsKeyBits: 128 }, 16, Buffer.from(KMS_NONCE, "ascii")],
    [{ kmsAad: "bytes" }, 32, Buffer.from(KMS_NONCE, "base64url")],
    [{ kmsAad: "bytes", kmsKeyBits: 128 }, 16, Buffer.from(KMS_NONCE, "base64url")],
  ];
  for (const [options, keyBytes, aad] of forms) {
    test(`opens with ${JSON.stringify(options)}`, async () => {
      for (const password of PASSWORDS) {
        const opened = openKms(await encryptPassword(airlockKms(), password, options), aad);
        assert.equal(opened.password, password);
        assert.equal(opened.cek.length, keyBytes);
      }
    });
  }

  test("OAEP with SHA-1 is made where the page allows it", async () => {
    const token = await encryptPassword(airlockKms({ algorithm: "RSAES_OAEP_SHA_1" }), "secret", { allowSha1: true });
    assert.equal(openKms(token, Buffer.from(KMS_NONCE), { sha1: true }).password, "secret");
  });

  test("the four-character password of Airlock's example gives parts of the example's sizes", async () => {
    const parts = JSON.parse(await encryptPassword(airlockKms(), "pass"));
    const sizes = Object.entries(parts).map(([name, value]) => [name, Buffer.from(value, "base64").length]);
    assert.deepEqual(sizes, [["password", 20], ["key", 256], ["iv", 12]]);
  });

  test("the key is read in either alphabet, with padding or without", async () => {
    const { publicKey } = airlockKms();
    const urlsafe = publicKey.replaceAll("+", "-").replaceAll("/", "_");
    const inLines = `${publicKey.slice(0, 64)}\n${publicKey.slice(64)}`;
    for (const spelling of [urlsafe, publicKey.replaceAll("=", ""), inLines]) {
      const token = await encryptPassword(airlockKms({ publicKey: spelling }), "secret");
      assert.equal(openKms(token, Buffer.from(KMS_NONCE)).password, "secret");
    }
  });

  test("the key can be pinned by the same thumbprint as a JWK", async () => {
    await encryptPassword(airlockKms(), "secret", { pinnedThumbprints: [thumbprint(sealpass().publicKey)] });
  });

  test("no key and no IV serves two tokens", async () => {
    const tokens = await Promise.all(Array.from({ length: 40 }, () => encryptPassword(airlockKms(), "same")));
    const opened = tokens.map((token) => openKms(token, Buffer.from(KMS_NONCE)));
    assert.equal(different(opened, "cek"), tokens.length);
    assert.equal(different(opened, "iv"), tokens.length);
  });
});
