// SPDX-License-Identifier: Apache-2.0
// Copies a PKCS #12 store, giving each entry a password of its own, which keytool cannot:
//   java PerEntry.java SOURCE TARGET STORE-PASSWORD ALIAS=PASSWORD...
// The AES key is replaced by the octets 0, 1, 2, ..., so that a test can know it.

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.Key;
import java.security.KeyStore;
import javax.crypto.spec.SecretKeySpec;

public final class PerEntry {
    public static void main(String[] arguments) throws Exception {
        char[] storePassword = arguments[2].toCharArray();
        KeyStore source = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(arguments[0])) {
            source.load(in, storePassword);
        }
        KeyStore target = KeyStore.getInstance("PKCS12");
        target.load(null, null);
        for (int i = 3; i < arguments.length; i++) {
            String[] entry = arguments[i].split("=");
            Key key = source.getKey(entry[0], storePassword);
            if (key.getAlgorithm().equals("AES")) {
                key = new SecretKeySpec(counting(key.getEncoded().length), "AES");
            }
            target.setKeyEntry(entry[0], key, entry[1].toCharArray(), source.getCertificateChain(entry[0]));
        }
        try (FileOutputStream out = new FileOutputStream(arguments[1])) {
            target.store(out, storePassword);
        }
    }

    private static byte[] counting(int length) {
        byte[] octets = new byte[length];
        for (int i = 0; i < length; i++) {
            octets[i] = (byte) i;
        }
        return octets;
    }
}
