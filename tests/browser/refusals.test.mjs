// SPDX-License-Identifier: Apache-2.0
// What the encryptor refuses, with which code, and that no refusal tells the password.

import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { afterEach, describe, test } from "node:test";
import { inspect } from "node:util";

import { encryptPassword, EncryptionRefused } from "./encryptor.mjs";
import { airlockJwe, airlockKms, NONCE, rsaKey, sealpass, thumbprint } from "./server.mjs";

const PASSWORD = "hunter2-never-in-an-error";

/** The encryptor refuses with this code and a message that holds nothing of the password. */
async function refuses(code, information, { password = PASSWORD, options = {} } = {}) {
  const error = await encryptPassword(information, password, options).then(
    () => assert.fail(`made a token; expected a refusal for '${code}'`),
    (reason) => reason,
  );
  assert.ok(error instanceof EncryptionRefused, inspect(error));
  assert.ok(error instanceof Error);
  assert.equal(error.name, "EncryptionRefused");
  assert.equal(error.code, code, error.message);
  assert.equal(error.cause, undefined);
  assert.ok(error.message.length > 10);
  assert.doesNotMatch(inspect(error, { showHidden: true, depth: 5 }), /hunter2/);
}

/** A Base64urlUInt of so many bits: odd, and its highest bit set. */
function number(bits, { leadingZeros = 0, even = false } = {}) {
  const octets = Buffer.alloc(Math.ceil(bits / 8), 0xff);
  octets[0] >>= (8 - (bits % 8)) % 8;
  if (even) octets[octets.length - 1] = 0xfe;
  return Buffer.concat([Buffer.alloc(leadingZeros), octets]).toString("base64url");
}

/** The announcement with another n or e, and the kid that fits. */
function withNumbers(changes) {
  const { publicKey } = sealpass();
  const key = { ...publicKey, ...changes };
  return sealpass({ ...key, kid: thumbprint(key) });
}

describe("the announced JWK", () => {
  const cases = {
    "is no RSA key": { kty: "EC" },
    "has no kty": { kty: undefined },
    "has another spelling of kty": { kty: "rsa" },
    "is for signatures": { use: "sig" },
    "does not state its use": { use: undefined },
    "is for another algorithm": { alg: "RSA-OAEP" },
    "is for signing": { alg: "RS256" },
    "does not state its alg": { alg: undefined },
    "has an alg that is null": { alg: null },
    "has key_ops without wrapping": { key_ops: ["verify"] },
    "has key_ops for unwrapping": { key_ops: ["unwrapKey", "decrypt"] },
    "has no key_ops in the list": { key_ops: [] },
    "has key_ops that are a string": { key_ops: "wrapKey" },
    "has key_ops that are null": { key_ops: null },
    "has no n": { n: undefined },
    "has no e": { e: undefined },
    "has an n that is no text": { n: 65537 },
    "has an empty n": { n: "" },
    "has no kid": { kid: undefined },
    "has the kid of another key": { kid: "A".repeat(43) },
    "has a kid that is a list": { kid: [thumbprint(sealpass().publicKey)] },
  };
  for (const [what, change] of Object.entries(cases)) test(what, () => refuses("key", sealpass(change)));

  for (const name of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]) {
    test(`holds the private member ${name}`, () => refuses("key", sealpass({ [name]: "AQAB" })));
  }

  const { n, e } = sealpass().publicKey;
  const standard = Buffer.from(n, "base64url").toString("base64");
  const spelled = {
    "n of 2047 bits": { n: number(2047) },
    "n of 1024 bits": { n: number(1024) },
    "n of 8193 bits": { n: number(8193) },
    "n of a million bits": { n: number(1_000_000) },
    "n with leading zeros": { n: Buffer.concat([Buffer.alloc(1), Buffer.from(n, "base64url")]).toString("base64url") },
    "a short n filled with leading zeros": { n: number(1024, { leadingZeros: 128 }) },
    "an even n": { n: number(2048, { even: true }) },
    "n in the standard alphabet": { n: `${standard.replaceAll("=", "").slice(0, -2)}+/` },
    "n with padding": { n: `${n}==` },
    "n with spare bits set": { n: `${n.slice(0, -1)}${{ A: "B", Q: "R", g: "h", w: "x" }[n.at(-1)]}` },
    "n with white space": { n: `${n.slice(0, 100)}\n${n.slice(100)}` },
    "n of an impossible length": { n: `${n}AAA` },
    "n with foreign characters": { n: `é${n.slice(1)}` },
    "e = 1": { e: "AQ" },
    "an even e": { e: "AQAA" },
    "e = 0": { e: "AA" },
    "e with leading zeros": { e: "AAEAAQ" },
    "e with padding": { e: `${e}====` },
  };
  for (const [what, change] of Object.entries(spelled)) {
    test(`has ${what}`, async () => {
      await refuses("key", withNumbers(change));
      await refuses("key", airlockJwe(change));
    });
  }

  test("of airlock-jwe need not state use, alg or key_ops, but may not state wrong ones", async () => {
    for (const change of [{ use: "sig" }, { use: null }, { key_ops: ["sign"] }, { kty: "oct" }, { d: "AQAB" }]) {
      await refuses("key", airlockJwe(change));
    }
    await refuses("key", airlockJwe({ alg: "RSA-OAEP" }, { alg: "RSA-OAEP-256" }));
  });

  test("is a real one of another kind", async () => {
    const ec = createPublicKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey).export({ format: "jwk" });
    await refuses("key", airlockJwe({}, { publicKey: ec }));
    await refuses("key", airlockJwe({}, { publicKey: { ...ec, kty: "RSA" } }));
  });

  test("is a private key", async () => {
    await refuses("key", airlockJwe({}, { publicKey: rsaKey(2048).export({ format: "jwk" }) }));
  });

  test("is no object", async () => {
    for (const publicKey of [undefined, null, "key", 7, [], true]) {
      await refuses("key", airlockJwe({}, { publicKey }));
    }
  });
});

describe("a pinned key", () => {
  test("of another thumbprint is refused in every profile", async () => {
    const options = { pinnedThumbprints: [thumbprint(sealpass({}, {}, rsaKey(2048)).publicKey)] };
    for (const information of [sealpass(), airlockJwe(), airlockKms()]) {
      await refuses("foreign-key", information, { options });
    }
  });

  test("is compared as a whole", async () => {
    const own = thumbprint(sealpass().publicKey);
    for (const pin of ["", own.slice(0, 42), `${own}=`, ` ${own}`, own.toLowerCase()]) {
      await refuses("foreign-key", sealpass(), { options: { pinnedThumbprints: [pin] } });
    }
  });

  test("does not open the door to a key that claims its kid", async () => {
    const own = thumbprint(sealpass().publicKey);
    const foreign = { ...sealpass({}, {}, rsaKey(2048)).publicKey, kid: own };
    const options = { pinnedThumbprints: [own] };
    await refuses("key", sealpass(foreign), { options });
    await refuses("foreign-key", airlockJwe(foreign), { options });
  });

  test("an empty list allows none", () => refuses("foreign-key", sealpass(), { options: { pinnedThumbprints: [] } }));
});

describe("the announcement", () => {
  test("is no object", async () => {
    for (const information of [undefined, null, "JWE", 7, [], () => {}]) await refuses("information", information);
  });

  test("is of an unknown type or profile", async () => {
    for (const type of [undefined, "jwe", "JWS", null, ["JWE"]]) await refuses("information", airlockJwe({}, { type }));
    for (const profile of ["jwe", "SEALPASS", "constructor", "__proto__", ["sealpass"], {}, 7, "airlock-kms"]) {
      await refuses("information", sealpass({}, { profile }));
    }
    await refuses("information", airlockKms({ profile: "sealpass" }));
  });

  test("has no nonce of the profile's form", async () => {
    const almost = [NONCE.slice(1), `${NONCE}=`, `${NONCE}A`, `+${NONCE.slice(1)}`, `${NONCE}\n`, [NONCE]];
    for (const nonce of [undefined, null, 7, "", ...almost]) {
      await refuses("information", sealpass({}, { nonce }));
    }
    for (const nonce of [undefined, null, 7, "", "a b", "é", "A\n", "A".repeat(257), ["A"]]) {
      await refuses("information", airlockJwe({}, { nonce }));
      await refuses("information", airlockKms({ nonce }));
    }
  });

  test("has a nonce that is no base64 where its bytes are wanted", async () => {
    await refuses("information", airlockKms({ nonce: "=A=" }), { options: { kmsAad: "bytes" } });
  });

  test("has an algorithm that the profile has not", async () => {
    for (const alg of ["RSA1_5", "RSA-OAEP-512", "rsa-oaep-256", "dir", "ECDH-ES", "none", "", 7, ["RSA-OAEP-256"]]) {
      await refuses("algorithm", sealpass({}, { alg }));
      await refuses("algorithm", airlockJwe({ alg }));
    }
    for (const enc of ["A128GCM", "A192GCM", "A256CBC-HS512", "a256gcm", "", 7, ["A256GCM"]]) {
      await refuses("algorithm", sealpass({}, { enc }));
    }
    for (const enc of ["A192GCM", "A128CBC-HS256"]) await refuses("algorithm", airlockJwe({}, { enc }));
    for (const algorithm of [undefined, null, "RSAES_PKCS1_V1_5", "RSA-OAEP-256", "constructor", 7]) {
      await refuses("algorithm", airlockKms({ algorithm }));
    }
  });

  test("wants OAEP with SHA-1, which nobody allowed", async () => {
    for (const options of [{}, { allowSha1: false }]) {
      await refuses("sha1", sealpass({}, { alg: "RSA-OAEP" }), { options });
      await refuses("sha1", airlockJwe({ alg: "RSA-OAEP" }), { options });
      await refuses("sha1", airlockKms({ algorithm: "RSAES_OAEP_SHA_1" }), { options });
    }
  });

  test("is for another profile than the page asked for", async () => {
    await refuses("profile", airlockJwe(), { options: { profile: "sealpass" } });
    await refuses("profile", airlockKms(), { options: { profile: "airlock-jwe" } });
    await refuses("profile", sealpass(), { options: { profile: "airlock-jwe" } });
  });
});

describe("the key of airlock-kms", () => {
  const spki = (key) => createPublicKey(key).export({ format: "der", type: "spki" });

  test("is no SubjectPublicKeyInfo of an RSA key", async () => {
    const der = spki(rsaKey(2048));
    const ec = spki(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
    const pkcs1 = createPublicKey(rsaKey(2048)).export({ format: "der", type: "pkcs1" });
    for (const octets of [Buffer.alloc(0), Buffer.from("key"), der.subarray(1), der.subarray(0, -1), ec, pkcs1]) {
      await refuses("key", airlockKms({ publicKey: octets.toString("base64") }));
    }
    const pem = createPublicKey(rsaKey(2048)).export({ format: "pem", type: "spki" });
    for (const publicKey of [undefined, null, 7, {}, [], "*", pem, "A".repeat(5_000_000)]) {
      await refuses("key", airlockKms({ publicKey }));
    }
  });

  test("is too short", async () => {
    await refuses("key", airlockKms({}, rsaKey(1024)));
    await refuses("key", airlockKms({}, rsaKey(2040)));
  });
});

describe("the password", () => {
  test("is not Unicode text", async () => {
    for (const lone of ["\ud83d", "\ude00", "\ude00\ud83d", "a\ud83d b"]) {
      for (const information of [sealpass(), airlockJwe(), airlockKms()]) {
        await refuses("password", information, { password: `${PASSWORD}${lone}` });
      }
    }
  });

  test("is no string", async () => {
    const wrapped = [["hunter2"], { password: "hunter2" }, new String("hunter2"), Buffer.from("hunter2")];
    for (const password of [null, 7, ...wrapped]) {
      await refuses("password", sealpass(), { password });
    }
    await assert.rejects(encryptPassword(sealpass()), { code: "password" });
  });

  test("gives a token of more than 8192 bytes", async () => {
    for (const length of [6_000, 8_000, 8_192, 100_000, 5_000_000]) {
      const password = "hunter2-".repeat(length / 8);
      for (const information of [sealpass(), airlockJwe(), airlockKms()]) {
        await refuses("too-long", information, { password });
      }
    }
    // Escapes and characters beyond ASCII take more bytes than characters.
    await refuses("too-long", sealpass(), { password: "\u0001".repeat(1_000) });
    await refuses("too-long", sealpass(), { password: "😀".repeat(1_450) });
  });
});

describe("the options", () => {
  const wrong = [
    { pinnedThumbprint: ["A".repeat(43)] },
    { pinnedThumbprints: undefined },
    { pinnedThumbprints: null },
    { pinnedThumbprints: "A".repeat(43) },
    { pinnedThumbprints: new Set() },
    { allowSha1: "false" },
    { allowSha1: 1 },
    { profile: "jwe" },
    { profile: undefined },
    { passwordPointer: "password" },
    { passwordPointer: "/a~2" },
    { kmsKeyBits: 192 },
    { kmsKeyBits: "256" },
    { kmsAad: "none" },
    { constructor: 1 },
    { toString: 1 },
    null,
  ];
  for (const options of wrong) test(`hold ${inspect(options)}`, () => refuses("options", sealpass(), { options }));

  test("are the password, in the wrong place", async () => {
    await refuses("options", sealpass(), { password: "x", options: PASSWORD });
  });
});

describe("the context", () => {
  const names = ["isSecureContext", "crypto"];
  const properties = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  afterEach(() => {
    for (const [name, descriptor] of properties) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete globalThis[name];
    }
  });
  const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });

  test("is not secure, although WebCrypto is there", async () => {
    set("isSecureContext", false);
    await refuses("insecure-context", sealpass());
  });

  test("has no WebCrypto", async () => {
    set("isSecureContext", true);
    for (const value of [undefined, {}, { getRandomValues() {} }]) {
      set("crypto", value);
      await refuses("insecure-context", sealpass());
    }
  });

  test("is secure", async () => {
    set("isSecureContext", true);
    await encryptPassword(sealpass(), PASSWORD);
  });
});
