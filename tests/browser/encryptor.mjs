// SPDX-License-Identifier: Apache-2.0
// The encryptor under test, loaded from its text: node takes a .js file for a module only where a package.json says so,
// and the shipped file has none. A module out of a data: URL can import nothing from disk, as in the page.

import { readFileSync } from "node:fs";

const source = readFileSync(new URL("../../src/sealpass/service/browser/encryptor.js", import.meta.url));

export const { encryptPassword, EncryptionRefused } = await import(
  `data:text/javascript;base64,${source.toString("base64")}`
);
