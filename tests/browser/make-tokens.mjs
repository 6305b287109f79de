// SPDX-License-Identifier: Apache-2.0
// Tokens by the encryptor: [{information, password, options}, …] on standard input, a JSON array of tokens on output.

import { json } from "node:stream/consumers";

import { encryptPassword } from "./encryptor.mjs";

const tokens = [];
for (const { information, password, options } of await json(process.stdin)) {
  tokens.push(await encryptPassword(information, password, options));
}
process.stdout.write(JSON.stringify(tokens));
