// SPDX-License-Identifier: Apache-2.0
// A client of its own, on the npm package jose: [{information, password}, …] on standard input, tokens on output.

import { json } from "node:stream/consumers";

import { CompactEncrypt, importJWK } from "jose";

async function encrypt({ publicKey, profile, alg, enc, nonce }, password) {
  const strict = profile === "sealpass";
  const payload = JSON.stringify({ password });
  const octets = Buffer.byteLength(payload);
  const header = strict ? { alg, enc, kid: publicKey.kid, nonce } : { alg, enc, nonce };
  return new CompactEncrypt(new TextEncoder().encode(payload + (strict ? " ".repeat(-octets & 63) : "")))
    .setProtectedHeader(header)
    .encrypt(await importJWK(publicKey, alg));
}

const tokens = [];
for (const { information, password } of await json(process.stdin)) tokens.push(await encrypt(information, password));
process.stdout.write(JSON.stringify(tokens));
