import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/** The authority of a PEM file as a trust store, which is all that Jedis reads. */
final class Authority {
    static final String TYPE = "PKCS12";
    static final char[] PASSWORD = "certificates are public".toCharArray();

    private Authority() {}

    static InputStream open(String file) throws IOException {
        try (InputStream pem = Files.newInputStream(Path.of(file))) {
            KeyStore store = KeyStore.getInstance(TYPE);
            store.load(null, PASSWORD);
            for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                store.setCertificateEntry("authority-" + store.size(), each);
            }
            ByteArrayOutputStream written = new ByteArrayOutputStream();
            store.store(written, PASSWORD);
            return new ByteArrayInputStream(written.toByteArray());
        } catch (GeneralSecurityException problem) {
            throw new IOException(problem);
        }
    }
}
