// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.RSAPublicKeySpec;
import java.util.Arrays;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;

/**
 * A Java client of profile sealpass, with nothing but the JDK: a compact JWE put together by hand.
 *
 * <p>Usage: java Client.java explicit|default N E KID NONCE, with lines of passwords on standard input; prints a token
 * for each. "explicit" names the hash of MGF1; "default" trusts the transformation's name, which makes it SHA-1.
 */
final class Client {
    private static final String TRANSFORMATION = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
    private static final int TAG_BYTES = 16;
    private static final int PADDING_BYTES = 64;
    private static final SecureRandom RANDOM = new SecureRandom();

    public static void main(String[] arguments) throws Exception {
        boolean explicit =
                switch (arguments[0]) {
                    case "explicit" -> true;
                    case "default" -> false;
                    default -> throw new IllegalArgumentException(arguments[0]);
                };
        PublicKey key =
                KeyFactory.getInstance("RSA")
                        .generatePublic(new RSAPublicKeySpec(number(arguments[1]), number(arguments[2])));
        String header =
                "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\",\"kid\":\"%s\",\"nonce\":\"%s\"}"
                        .formatted(arguments[3], arguments[4]);
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var output = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        for (String password; (password = input.readLine()) != null; ) {
            output.println(token(header, payload(password), key, explicit));
        }
    }

    private static String token(String header, byte[] payload, PublicKey key, boolean explicit) throws Exception {
        byte[] cek = random(32);
        Cipher oaep = Cipher.getInstance(TRANSFORMATION);
        if (explicit) {
            oaep.init(
                    Cipher.ENCRYPT_MODE,
                    key,
                    new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT));
        } else {
            oaep.init(Cipher.ENCRYPT_MODE, key);
        }
        String protectedHeader = base64url(header.getBytes(StandardCharsets.US_ASCII));
        byte[] iv = random(12);
        Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding");
        gcm.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(cek, "AES"), new GCMParameterSpec(8 * TAG_BYTES, iv));
        gcm.updateAAD(protectedHeader.getBytes(StandardCharsets.US_ASCII));
        byte[] sealed = gcm.doFinal(payload);
        int length = sealed.length - TAG_BYTES;
        return String.join(
                ".",
                protectedHeader,
                base64url(oaep.doFinal(cek)),
                base64url(iv),
                base64url(Arrays.copyOf(sealed, length)),
                base64url(Arrays.copyOfRange(sealed, length, sealed.length)));
    }

    /** One JSON member, filled up with spaces. */
    private static byte[] payload(String password) {
        String escaped = password.replace("\\", "\\\\").replace("\"", "\\\"");
        byte[] json = "{\"password\":\"%s\"}".formatted(escaped).getBytes(StandardCharsets.UTF_8);
        byte[] padded = new byte[(json.length + PADDING_BYTES - 1) / PADDING_BYTES * PADDING_BYTES];
        Arrays.fill(padded, (byte) ' ');
        System.arraycopy(json, 0, padded, 0, json.length);
        return padded;
    }

    private static byte[] random(int length) {
        byte[] octets = new byte[length];
        RANDOM.nextBytes(octets);
        return octets;
    }

    private static BigInteger number(String base64urlUInt) {
        return new BigInteger(1, Base64.getUrlDecoder().decode(base64urlUInt));
    }

    private static String base64url(byte[] octets) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(octets);
    }
}
