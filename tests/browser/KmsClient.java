// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;

/**
 * A Java client of profile airlock-kms, with nothing but the JDK.
 *
 * <p>Usage: java KmsClient.java PUBLIC-KEY, with lines "ALGORITHM KEY-BITS text|bytes NONCE PASSWORD" on standard
 * input; prints a message for each.
 */
final class KmsClient {
    private static final int TAG_BITS = 128;
    private static final SecureRandom RANDOM = new SecureRandom();

    public static void main(String[] arguments) throws Exception {
        byte[] spki = Base64.getDecoder().decode(arguments[0]);
        PublicKey key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(spki));
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var output = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        for (String line; (line = input.readLine()) != null; ) {
            String[] fields = line.split(" ", 5);
            byte[] aad =
                    switch (fields[2]) {
                        case "text" -> fields[3].getBytes(StandardCharsets.US_ASCII);
                        case "bytes" -> Base64.getUrlDecoder().decode(fields[3]);
                        default -> throw new IllegalArgumentException(fields[2]);
                    };
            output.println(message(key, oaep(fields[0]), Integer.parseInt(fields[1]) / 8, aad, fields[4]));
        }
    }

    private static String message(PublicKey key, OAEPParameterSpec oaep, int keyBytes, byte[] aad, String password)
            throws Exception {
        byte[] cek = random(keyBytes);
        Cipher rsa = Cipher.getInstance("RSA/ECB/OAEPPadding");
        rsa.init(Cipher.ENCRYPT_MODE, key, oaep);
        byte[] iv = random(12);
        Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding");
        gcm.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(cek, "AES"), new GCMParameterSpec(TAG_BITS, iv));
        gcm.updateAAD(aad);
        return "{\"password\":\"%s\",\"key\":\"%s\",\"iv\":\"%s\"}"
                .formatted(
                        base64(gcm.doFinal(password.getBytes(StandardCharsets.UTF_8))),
                        base64(rsa.doFinal(cek)),
                        base64(iv));
    }

    private static OAEPParameterSpec oaep(String algorithm) {
        String hash =
                switch (algorithm) {
                    case "RSAES_OAEP_SHA_256" -> "SHA-256";
                    case "RSAES_OAEP_SHA_1" -> "SHA-1";
                    default -> throw new IllegalArgumentException(algorithm);
                };
        return new OAEPParameterSpec(hash, "MGF1", new MGF1ParameterSpec(hash), PSource.PSpecified.DEFAULT);
    }

    private static byte[] random(int length) {
        byte[] octets = new byte[length];
        RANDOM.nextBytes(octets);
        return octets;
    }

    private static String base64(byte[] octets) {
        return Base64.getEncoder().encodeToString(octets);
    }
}
