// SPDX-License-Identifier: Apache-2.0

/** A contract between page and server; the server's announcement says which. */
export type Profile = "sealpass" | "airlock-jwe" | "airlock-kms";

/** The announced key (RFC 7517). Profile `sealpass` states `kid` (the RFC 7638 thumbprint), `use` and `alg`. */
export interface RsaPublicJwk {
  kty: "RSA";
  n: string;
  e: string;
  kid?: string;
  use?: string;
  alg?: string;
  key_ops?: string[];
}

/** `e2eEncryptionInformation` of a server that takes JWE; Airlock IAM sends the first three members only. */
export interface JweInformation {
  type: "JWE";
  nonce: string;
  publicKey: RsaPublicJwk;
  /** Default: `airlock-jwe`. */
  profile?: "sealpass" | "airlock-jwe";
  /** Default: what the key states, else `RSA-OAEP-256`. */
  alg?: "RSA-OAEP-256" | "RSA-OAEP";
  /** Default: `A256GCM` for profile `sealpass`, `A128GCM` for `airlock-jwe`. */
  enc?: "A128GCM" | "A256GCM";
}

/** `e2eEncryptionInformation` of Airlock IAM with AWS KMS. */
export interface KmsInformation {
  type: "KMS";
  nonce: string;
  /** SubjectPublicKeyInfo (DER) in base64. */
  publicKey: string;
  algorithm: "RSAES_OAEP_SHA_256" | "RSAES_OAEP_SHA_1";
  profile?: "airlock-kms";
}

/** As it came out of `JSON.parse`; every member is checked. */
export type Information = JweInformation | KmsInformation;

/** Leave out what you do not set: unknown names and undefined values are refused. */
export interface EncryptionOptions {
  /** The only profile to take; without it, the announcement chooses. */
  profile?: Profile;
  /** RFC 7638 SHA-256 thumbprints, base64url, of the only keys to encrypt to. An empty list allows none. */
  pinnedThumbprints?: readonly string[];
  /** Allow OAEP with SHA-1. Default: false. */
  allowSha1?: boolean;
  /** `airlock-jwe`: where the payload holds the password (RFC 6901). Default: `/password`. */
  passwordPointer?: string;
  /** `airlock-kms`: size of the AES key. Default: 256. */
  kmsKeyBits?: 128 | 256;
  /** `airlock-kms`: authenticate the nonce's characters (`text`, the default) or the bytes that they encode. */
  kmsAad?: "text" | "bytes";
}

/** Stable across releases. */
export type RefusalCode =
  /** No https (nor localhost), or no WebCrypto. */
  | "insecure-context"
  /** The page's own mistake. */
  | "options"
  /** The announcement has not the form of any known one. */
  | "information"
  /** The announced profile is not the one of the options. */
  | "profile"
  /** The profile has not the announced algorithm. */
  | "algorithm"
  /** OAEP with SHA-1 was announced and is not allowed. */
  | "sha1"
  /** The announced key is not a proper RSA key for this use. */
  | "key"
  /** The announced key is none of those pinned. */
  | "foreign-key"
  /** The password is no string, or holds half of a surrogate pair. */
  | "password"
  /** The token would be longer than 8192 bytes. */
  | "too-long";

/** Why there is no token. Holds no secret. Never send the password in its stead. */
export class EncryptionRefused extends Error {
  readonly name: "EncryptionRefused";
  readonly code: RefusalCode;
  private constructor();
}

/**
 * Encrypt one password under one announcement.
 *
 * Resolves to the string to send in place of the password: a compact JWE, or for KMS the JSON string
 * `{password, key, iv}`. Every call makes a fresh key and IV. Rejects with {@link EncryptionRefused}.
 */
export function encryptPassword(
  information: Information,
  password: string,
  options?: EncryptionOptions,
): Promise<string>;
