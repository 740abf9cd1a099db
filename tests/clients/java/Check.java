import java.io.InputStream;
import java.util.Properties;

/** What each program ends with. */
final class Check {
    private Check() {}

    static void same(Object wanted, Object found) {
        if (!wanted.equals(found)) {
            throw new IllegalStateException("found " + found + ", not " + wanted);
        }
    }

    /** Prints the version that the library's own archive tells. */
    static void passed(String library) throws Exception {
        Properties told = new Properties();
        try (InputStream file = Check.class.getResourceAsStream("/META-INF/maven/" + library + "/pom.properties")) {
            told.load(file);
        }
        System.out.println("{\"version\": \"" + told.getProperty("version") + "\"}");
    }
}
