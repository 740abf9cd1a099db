import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisURI;
import io.lettuce.core.ScriptOutputType;
import io.lettuce.core.SetArgs;
import io.lettuce.core.SslOptions;
import io.lettuce.core.cluster.ClusterClientOptions;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.cluster.api.sync.RedisClusterCommands;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.masterreplica.MasterReplica;
import java.io.File;
import java.util.Map;
import java.util.UUID;

final class Lettuce {
    // configuration
    static RedisClusterCommands<String, String> connect(Map<String, String> environment) {
        RedisURI url = RedisURI.create(environment.get("VALKEY_URL"));
        SslOptions.Builder tls = SslOptions.builder();
        if (environment.containsKey("VALKEY_CA")) {
            tls.trustManager(new File(environment.get("VALKEY_CA")));
        }
        if ("cluster".equals(environment.get("VALKEY_TOPOLOGY"))) {
            RedisClusterClient client = RedisClusterClient.create(url);
            client.setOptions(ClusterClientOptions.builder().sslOptions(tls.build()).build());
            return client.connect().sync();
        }
        RedisClient client = RedisClient.create();
        client.setOptions(ClientOptions.builder().sslOptions(tls.build()).build());
        if (environment.containsKey("VALKEY_SENTINELS")) {
            RedisURI.Builder sentinels = RedisURI.builder().withSentinelMasterId("valkey").withAuthentication(url);
            for (String node : environment.get("VALKEY_SENTINELS").split(",")) {
                sentinels.withSentinel(RedisURI.builder(RedisURI.create("redis://" + node)).withAuthentication(url).build());
            }
            return MasterReplica.connect(client, StringCodec.UTF8, sentinels.build()).sync();
        }
        return client.connect(url).sync();
    }
    // end

    public static void main(String[] arguments) throws Exception {
        RedisClusterCommands<String, String> client = connect(System.getenv());
        for (int number = 0; number < 10; number++) {
            String key = "lettuce:" + number;
            String value = UUID.randomUUID().toString();
            client.set(key, value, SetArgs.Builder.ex(60));
            Check.same(value, client.get(key));
        }
        client.del("{lettuce}");
        Check.same(1L, client.incr("{lettuce}"));
        String[] keys = {"lettuce"};
        Check.same("script", client.eval("return ARGV[1]", ScriptOutputType.VALUE, keys, "script"));
        Check.passed("io.lettuce/lettuce-core");
        System.exit(0); // its threads would go on
    }
}
