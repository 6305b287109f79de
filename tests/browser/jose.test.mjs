// SPDX-License-Identifier: Apache-2.0
// The encryptor's tokens open in the npm package jose, and its thumbprint is jose's.

import assert from "node:assert/strict";
import { test } from "node:test";

import { calculateJwkThumbprint, compactDecrypt } from "jose";

import { encryptPassword } from "./encryptor.mjs";
import { airlockJwe, NONCE, privateKey, sealpass } from "./server.mjs";

const PASSWORD = "korrekt Pferd ☃ 😀";

for (const [name, information, options] of [
  ["sealpass", sealpass(), {}],
  ["sealpass with SHA-1", sealpass({}, { alg: "RSA-OAEP" }), { allowSha1: true }],
  ["airlock-jwe with A128GCM", airlockJwe(), {}],
  ["airlock-jwe with A256GCM", airlockJwe({}, { enc: "A256GCM" }), {}],
]) {
  test(`opens: ${name}`, async () => {
    const token = await encryptPassword(information, PASSWORD, options);
    const { plaintext, protectedHeader } = await compactDecrypt(token, privateKey);
    assert.deepEqual(JSON.parse(new TextDecoder().decode(plaintext)), { password: PASSWORD });
    assert.equal(protectedHeader.nonce, information.nonce);
  });
}

test("kid is the thumbprint that jose computes", async () => {
  const token = await encryptPassword(sealpass(), PASSWORD);
  const { protectedHeader } = await compactDecrypt(token, privateKey);
  assert.equal(protectedHeader.kid, await calculateJwkThumbprint(sealpass().publicKey));
  assert.equal(protectedHeader.nonce, NONCE);
});
