// SPDX-License-Identifier: Apache-2.0
// The server's half, by node:crypto (OpenSSL) and not by WebCrypto: announcements, and tokens opened.

import assert from "node:assert/strict";
import {
  constants,
  createDecipheriv,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  privateDecrypt,
} from "node:crypto";

const TAG_BYTES = 16;
const BASE64URL = /^[A-Za-z0-9_-]*$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export const NONCE = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
export const AIRLOCK_NONCE = "si04fHDORRELOO0T4nJad8mz9DgPPE9GhArD2reQ2Dk=";
export const KMS_NONCE = "p2oE-RbbU1cpy710AeVcdImgwfIXDIg8kMtxXqq2sDw=";

export const rsaKey = (bits) => generateKeyPairSync("rsa", { modulusLength: bits }).privateKey;
export const privateKey = rsaKey(2048);

/** RFC 7638 section 3. */
export function thumbprint({ e, kty, n }) {
  return createHash("sha256").update(JSON.stringify({ e, kty, n })).digest("base64url");
}

/** The announcement of profile `sealpass`, with members of the key and of itself changed; undefined removes one. */
export function sealpass(key = {}, members = {}, from = privateKey) {
  const jwk = createPublicKey(from).export({ format: "jwk" });
  const alg = members.alg ?? "RSA-OAEP-256";
  return present({
    type: "JWE",
    nonce: NONCE,
    publicKey: present({ ...jwk, kid: thumbprint(jwk), use: "enc", alg, ...key }),
    profile: "sealpass",
    alg,
    enc: "A256GCM",
    ...members,
  });
}

/** The three members that Airlock announces. */
export function airlockJwe(key = {}, members = {}) {
  const jwk = createPublicKey(privateKey).export({ format: "jwk" });
  return present({ type: "JWE", nonce: AIRLOCK_NONCE, publicKey: present({ ...jwk, ...key }), ...members });
}

export function airlockKms(members = {}, from = privateKey) {
  const publicKey = createPublicKey(from).export({ format: "der", type: "spki" }).toString("base64");
  return present({ type: "KMS", nonce: KMS_NONCE, publicKey, algorithm: "RSAES_OAEP_SHA_256", ...members });
}

function present(members) {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

function decode(text, form, encoding) {
  assert.match(text, form);
  const octets = Buffer.from(text, encoding);
  assert.equal(octets.toString(encoding), text, "not canonical");
  return octets;
}

function unwrap(encryptedKey, sha1, key) {
  assert.equal(encryptedKey.length, key.asymmetricKeyDetails.modulusLength / 8);
  const oaep = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: sha1 ? "sha1" : "sha256" };
  return privateDecrypt(oaep, encryptedKey);
}

function openGcm(cek, iv, ciphertext, tag, aad) {
  assert.equal(iv.length, 12);
  assert.equal(tag.length, TAG_BYTES);
  const decipher = createDecipheriv(`aes-${cek.length * 8}-gcm`, cek, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad).setAuthTag(tag);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
}

/** A compact JWE taken apart and opened. */
export function openJwe(token, key = privateKey) {
  const parts = token.split(".");
  assert.equal(parts.length, 5);
  const [header, encryptedKey, iv, ciphertext, tag] = parts.map((part) => decode(part, BASE64URL, "base64url"));
  const members = JSON.parse(header);
  const cek = unwrap(encryptedKey, members.alg === "RSA-OAEP", key);
  return { header: members, cek, iv, payload: openGcm(cek, iv, ciphertext, tag, Buffer.from(parts[0], "ascii")) };
}

/** The JSON string of profile `airlock-kms`, opened; `aad` are the octets that were authenticated. */
export function openKms(token, aad, { sha1 = false, key = privateKey } = {}) {
  const members = JSON.parse(token);
  assert.deepEqual(Object.keys(members), ["password", "key", "iv"]);
  const [sealed, encryptedKey, iv] = Object.values(members).map((text) => decode(text, BASE64, "base64"));
  const cek = unwrap(encryptedKey, sha1, key);
  const password = openGcm(cek, iv, sealed.subarray(0, -TAG_BYTES), sealed.subarray(-TAG_BYTES), aad);
  return { cek, iv, password: password.toString("utf8") };
}
