// SPDX-License-Identifier: Apache-2.0
// Encrypts a password in the page, to the key that the server announced. WebCrypto only, no build step.
// How to use it, what it refuses and why: docs/browser.md. Types: encryptor.d.ts.

const MAX_TOKEN_BYTES = 8192; // servers refuse longer ones unread
const PADDING_BYTES = 64; // profile sealpass: the token's length hides the password's
const TAG_BYTES = 16;
const BASE64 = /^[\w+/=-]{1,256}$/;
const PROFILES = new Map([
  ["sealpass", { type: "JWE", encs: ["A256GCM"], nonceForm: /^[\w-]{43}$/ }],
  ["airlock-jwe", { type: "JWE", encs: ["A128GCM", "A256GCM"], nonceForm: BASE64 }],
  ["airlock-kms", { type: "KMS", nonceForm: BASE64 }],
]);
const KMS_ALGS = new Map([["RSAES_OAEP_SHA_256", "RSA-OAEP-256"], ["RSAES_OAEP_SHA_1", "RSA-OAEP"]]);

/** Why there is no token. `code` is stable; neither it nor the message holds a secret. */
export class EncryptionRefused extends Error {
  constructor(code, message) {
    super(message);
    this.name = "EncryptionRefused";
    this.code = code;
  }
}

function need(condition, code, message) {
  if (!condition) throw new EncryptionRefused(code, message);
}

const utf8 = (text) => new TextEncoder().encode(text);
const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
const base64url = (buffer) => base64(buffer).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** The bytes of base64 in either alphabet, or undefined. */
function decode(text) {
  if (typeof text !== "string" || text.length > 2048) return undefined;
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** Unknown names are refused, because a misspelt pin would be no pin. */
function readOptions({ profile, pinnedThumbprints, allowSha1 = false, passwordPointer = "/password", kmsKeyBits = 256,
  kmsAad = "text", ...unknown }) {
  const wrong = Object.keys(unknown)[0] ??
    (profile !== undefined && !PROFILES.has(profile) && "profile") ??
    undefined;
  return wrong;
}
