// SPDX-License-Identifier: Apache-2.0
// Encrypts a password in the page, to the key that the server announced. WebCrypto only, no build step.
// What it takes and refuses, and why: docs/browser.md. Types: encryptor.d.ts.

const MAX_TOKEN_BYTES = 8192; // servers refuse longer ones unread
const PADDING_BYTES = 64; // profile sealpass: the token's length hides the password's
const TAG_BYTES = 16;
const BASE64 = /^[\w+/=-]{1,256}$/;
const PROFILES = new Map([
  ["sealpass", { type: "JWE", encs: ["A256GCM"], nonceForm: /^[\w-]{43}$/ }],
  ["airlock-jwe", { type: "JWE", encs: ["A128GCM", "A256GCM"], nonceForm: BASE64 }],
  ["airlock-kms", { type: "KMS", encs: [undefined], nonceForm: BASE64 }],
]);
const KMS_ALGS = new Map([["RSAES_OAEP_SHA_256", "RSA-OAEP-256"], ["RSAES_OAEP_SHA_1", "RSA-OAEP"]]);
const DEFAULTS = { allowSha1: false, passwordPointer: "/password", kmsKeyBits: 256, kmsAad: "text" };
const OPTIONS = {
  __proto__: null,
  profile: (value) => PROFILES.has(value),
  pinnedThumbprints: Array.isArray,
  allowSha1: (value) => typeof value === "boolean",
  passwordPointer: (value) => /^(\/([^~/]|~[01])*)*$/.test(value),
  kmsKeyBits: (value) => [128, 256].includes(value),
  kmsAad: (value) => ["text", "bytes"].includes(value),
};

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

const needRoom = (length) => need(length <= MAX_TOKEN_BYTES, "too-long", "the password is too long");
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

/** What the server announced, or whoever stands between. */
function readInformation(information, options) {
  const { type, nonce, publicKey, algorithm, ...more } = Object(information);
  const kms = type === "KMS";
  const profile = more.profile ?? (kms ? "airlock-kms" : "airlock-jwe");
  const rules = PROFILES.get(profile);
  need(rules?.type === type, "information", "unknown type or profile");
  need(profile === (options.profile ?? profile), "profile", "not the profile that the page asked for");
  need(typeof nonce === "string" && rules.nonceForm.test(nonce), "information", "the nonce has a wrong form");
  const alg = kms ? KMS_ALGS.get(algorithm) : (more.alg ?? publicKey?.alg ?? "RSA-OAEP-256");
  const enc = more.enc ?? rules.encs[0];
  need(["RSA-OAEP-256", "RSA-OAEP"].includes(alg) && rules.encs.includes(enc), "algorithm", "no such algorithm");
  need(alg === "RSA-OAEP-256" || options.allowSha1, "sha1", "RSA-OAEP with SHA-1 needs the option allowSha1");
  if (!kms) checkJwk(Object(publicKey), alg, profile);
  return { profile, kms, alg, enc, nonce, publicKey, bits: kms ? options.kmsKeyBits : enc === "A128GCM" ? 128 : 256 };
}

/** RFC 7517 section 4. Airlock need not state use and alg; profile sealpass does. */
function checkJwk(jwk, alg, profile) {
  const stated = profile === "sealpass" ? jwk : { use: "enc", alg, ...jwk };
  const { key_ops: uses = ["wrapKey"] } = jwk;
  need(jwk.kty === "RSA", "key", "the key is not an RSA key");
  need(!"d p q dp dq qi oth k".split(" ").some((name) => name in jwk), "key", "the key is a private one");
  need(stated.use === "enc" && stated.alg === alg, "key", "the key is not for encryption with that alg");
  const wraps = Array.isArray(uses) && (uses.includes("wrapKey") || uses.includes("encrypt"));
  need(wraps, "key", "the key's key_ops do not allow wrapping");
}

/** The bits of a Base64urlUInt in its only spelling (RFC 7518 section 2). A modulus and an exponent are odd. */
function bitsOf(text) {
  const bytes = decode(text);
  need(bytes?.[0] && base64url(bytes) === text && bytes.at(-1) % 2, "key", "n or e is not canonical, or is even");
  return bytes.length * 8 + 24 - Math.clz32(bytes[0]);
}

async function importKey(subtle, { profile, kms, alg, publicKey }, pins) {
  const load = (format, data) =>
    subtle
      .importKey(format, data, { name: "RSA-OAEP", hash: alg === "RSA-OAEP" ? "SHA-1" : "SHA-256" }, true, ["wrapKey"])
      .catch(() => need(false, "key", "the key is not an RSA public key"));
  let { n, e, kid } = Object(publicKey);
  if (kms) ({ n, e } = await subtle.exportKey("jwk", await load("spki", decode(publicKey) ?? utf8(""))));
  const bits = bitsOf(n);
  need(bits >= 2048 && bits <= 8192 && bitsOf(e) > 1, "key", "the key has a wrong size or exponent");
  const thumbprint = base64url(await subtle.digest("SHA-256", utf8(`{"e":"${e}","kty":"RSA","n":"${n}"}`)));
  need(profile !== "sealpass" || kid === thumbprint, "key", "the key's kid is not its thumbprint");
  need(!pins || pins.includes(thumbprint), "foreign-key", "the key is none of those pinned");
  return { key: await load("jwk", { kty: "RSA", n, e }), thumbprint };
}

/** What is encrypted: the bare password for KMS, else JSON. */
function write(password, { profile, kms }, pointer) {
  // Under /u only a lone surrogate is a Surrogate; a pair is one character.
  need(typeof password === "string" && !/\p{Surrogate}/u.test(password), "password", "not Unicode text");
  if (kms) return utf8(password);
  const names = (profile === "sealpass" ? "/password" : pointer).split("/").slice(1);
  const nest = (value, name) => ({ [name.replaceAll("~1", "/").replaceAll("~0", "~")]: value });
  const json = utf8(JSON.stringify(names.reduceRight(nest, password)));
  if (profile !== "sealpass") return json;
  const padded = new Uint8Array(Math.ceil(json.length / PADDING_BYTES) * PADDING_BYTES).fill(0x20);
  padded.set(json);
  return padded;
}

/** The token for one password. Rejects with EncryptionRefused. */
export async function encryptPassword(information, password, options = {}) {
  const subtle = globalThis.isSecureContext !== false && globalThis.crypto?.subtle;
  need(subtle, "insecure-context", "WebCrypto needs a secure context: https, or localhost");
  for (const [name, value] of Object.entries(options ?? { null: 0 })) {
    // A misspelt or undefined pin would be no pin.
    need(OPTIONS[name]?.(value), "options", `the option ${name} is unknown or has a wrong value`);
  }
  const settings = { ...DEFAULTS, ...options };
  const announced = readInformation(information, settings);
  const { profile, kms, alg, enc, nonce } = announced;
  const plaintext = write(password, announced, settings.passwordPointer);
  needRoom(plaintext.length);

  const { key, thumbprint } = await importKey(subtle, announced, settings.pinnedThumbprints);
  const header = profile === "sealpass" ? { alg, enc, kid: thumbprint, nonce } : { alg, enc, nonce };
  const protectedHeader = base64url(utf8(JSON.stringify(header)));
  const additionalData = kms && settings.kmsAad === "bytes" ? decode(nonce) : utf8(kms ? nonce : protectedHeader);
  need(additionalData, "information", "the nonce is not base64");

  // Key and IV serve one token. The key's bytes stay inside WebCrypto.
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const cek = await subtle.generateKey({ name: "AES-GCM", length: announced.bits }, true, ["encrypt"]);
  const wrapped = await subtle.wrapKey("raw", cek, key, { name: "RSA-OAEP" });
  const sealed = await subtle.encrypt({ name: "AES-GCM", iv, additionalData }, cek, plaintext);
  const parts = [wrapped, iv, sealed.slice(0, -TAG_BYTES), sealed.slice(-TAG_BYTES)];
  const token = kms
    ? JSON.stringify({ password: base64(sealed), key: base64(wrapped), iv: base64(iv) })
    : [protectedHeader, ...parts.map(base64url)].join(".");
  needRoom(token.length);
  return token;
}
