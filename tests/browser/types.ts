// SPDX-License-Identifier: Apache-2.0
// Compiled, never run: what encryptor.d.ts allows, and, below each @ts-expect-error, what it does not.

import { encryptPassword, EncryptionRefused } from "../../src/sealpass/service/browser/encryptor.js";
import type { Information, KmsInformation, RefusalCode } from "../../src/sealpass/service/browser/encryptor.js";

const kms: KmsInformation = { type: "KMS", nonce: "n", publicKey: "MII=", algorithm: "RSAES_OAEP_SHA_256" };
const jwk = { kty: "RSA", n: "n", e: "AQAB" } as const;

export async function login(fromServer: string): Promise<string | RefusalCode> {
  const information = JSON.parse(fromServer) as Information;
  try {
    const token: string = await encryptPassword(information, "secret");
    await encryptPassword({ type: "JWE", nonce: "n", publicKey: jwk }, "secret", { profile: "airlock-jwe" });
    await encryptPassword({ type: "JWE", nonce: "n", publicKey: { ...jwk, kid: "k", use: "enc" } }, "secret", {
      pinnedThumbprints: ["t"],
      allowSha1: false,
      passwordPointer: "/password",
    });
    await encryptPassword(kms, "secret", { kmsKeyBits: 128, kmsAad: "bytes" });
    return token;
  } catch (error) {
    if (error instanceof EncryptionRefused && error.code === "foreign-key") return error.code;
    throw error;
  }
}

export const refused = [
  // @ts-expect-error a misspelt option
  () => encryptPassword(kms, "secret", { pinnedThumbprint: ["t"] }),
  // @ts-expect-error an option that may be undefined
  () => encryptPassword(kms, "secret", { pinnedThumbprints: undefined }),
  // @ts-expect-error a size that no profile has
  () => encryptPassword(kms, "secret", { kmsKeyBits: 192 }),
  // @ts-expect-error no password
  () => encryptPassword(kms),
  // @ts-expect-error an elliptic-curve key
  () => encryptPassword({ type: "JWE", nonce: "n", publicKey: { ...jwk, kty: "EC" } }, "secret"),
  // @ts-expect-error a code that does not exist
  (error: EncryptionRefused) => error.code === "wrong",
  // @ts-expect-error only the encryptor makes them
  () => new EncryptionRefused("key", "message"),
];
