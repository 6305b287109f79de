// SPDX-License-Identifier: Apache-2.0
// Writes the encryptor's vectors: node tests/browser/make-vectors.mjs [FOLDER]
//
// One file for each scenario, by default into tests/vectors/browser. Tokens differ at every run, for a key and an IV
// that repeat would be a fault; everything else is the same, and the tests say so. key.json protects nothing.

import { createPublicKey } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { encryptPassword } from "./encryptor.mjs";
import { thumbprint } from "./server.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = process.argv[2] ?? here("../vectors/browser");
const jwk = JSON.parse(readFileSync(here("key.json")));
const { kty, n, e } = jwk;
const spki = createPublicKey({ key: jwk, format: "jwk" }).export({ format: "der", type: "spki" }).toString("base64");

const sealpass = (alg = "RSA-OAEP-256") => ({
  type: "JWE",
  nonce: "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  publicKey: { kty, n, e, kid: thumbprint(jwk), use: "enc", alg },
  profile: "sealpass",
  alg,
  enc: "A256GCM",
});
const airlockJwe = (members) => ({
  type: "JWE",
  nonce: "si04fHDORRELOO0T4nJad8mz9DgPPE9GhArD2reQ2Dk=",
  publicKey: { kty, n, e },
  ...members,
});
const airlockKms = (algorithm = "RSAES_OAEP_SHA_256") => ({
  type: "KMS",
  nonce: "p2oE-RbbU1cpy710AeVcdImgwfIXDIg8kMtxXqq2sDw=",
  publicKey: spki,
  algorithm,
});

const scenarios = {
  "sealpass": {
    comment: "The default profile",
    information: sealpass(),
    password: "correct horse battery staple",
  },
  "sealpass-empty": {
    comment: "The empty password is one",
    information: sealpass(),
    password: "",
  },
  "sealpass-full-block": {
    comment: "The payload has 64 bytes without padding, and gets none",
    information: sealpass(),
    password: "p".repeat(64 - '{"password":""}'.length),
  },
  "sealpass-unicode": {
    comment: "Decomposed and composed letters, emoji, a NUL, quotes and trailing spaces arrive as they were typed",
    information: sealpass(),
    password: "e\u0301 \u00e9 ☃ 😀👩‍👩‍👧 \0 \"\\/ \ufeff ",
  },
  "sealpass-sha1": {
    comment: "RSA-OAEP with SHA-1, which the page allows",
    information: sealpass("RSA-OAEP"),
    options: { allowSha1: true },
    password: "correct horse battery staple",
  },
  "airlock-jwe": {
    comment: "Airlock's three members",
    information: airlockJwe(),
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-jwe-a256gcm": {
    comment: "An enc that the server announces",
    information: airlockJwe({ enc: "A256GCM" }),
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-jwe-pointer": {
    comment: "The password at another place of the payload",
    information: airlockJwe(),
    options: { passwordPointer: "/credentials/a~1b" },
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-kms": {
    comment: "AES-256, the nonce's characters authenticated",
    information: airlockKms(),
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-kms-128": {
    comment: "AES-128, the nonce's characters authenticated",
    information: airlockKms(),
    options: { kmsKeyBits: 128 },
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-kms-bytes": {
    comment: "AES-256, the nonce's bytes authenticated",
    information: airlockKms(),
    options: { kmsAad: "bytes" },
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-kms-128-bytes": {
    comment: "AES-128, the nonce's bytes authenticated",
    information: airlockKms(),
    options: { kmsKeyBits: 128, kmsAad: "bytes" },
    password: "korrekt Pferd ☃ Batterie",
  },
  "airlock-kms-sha1": {
    comment: "RSAES_OAEP_SHA_1, which the page allows",
    information: airlockKms("RSAES_OAEP_SHA_1"),
    options: { allowSha1: true },
    password: "korrekt Pferd ☃ Batterie",
  },
};

mkdirSync(folder, { recursive: true });
for (const [name, { comment, information, options = {}, password }] of Object.entries(scenarios)) {
  const token = await encryptPassword(information, password, options);
  const source = "tests/browser/make-vectors.mjs";
  const vector = { source, comment, expect: "opens", jwk, information, options, password, token };
  // Escaped, so that no editor changes a letter that can be written in two ways.
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const json = JSON.stringify(vector, null, 2).replace(/[^\n -~]/g, escape);
  writeFileSync(join(folder, `${name}.json`), `${json}\n`);
}
