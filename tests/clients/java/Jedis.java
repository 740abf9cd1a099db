import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.RedisSentinelClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.SslOptions;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.util.JedisURIHelper;

final class Jedis {
    // configuration
    static UnifiedJedis connect(Map<String, String> environment) throws Exception {
        URI url = URI.create(environment.get("VALKEY_URL"));
        DefaultJedisClientConfig.Builder login = DefaultJedisClientConfig.builder()
            .user(JedisURIHelper.getUser(url)).password(JedisURIHelper.getPassword(url)).timeoutMillis(10_000);
        if (environment.containsKey("VALKEY_CA")) {
            login.sslOptions(SslOptions.builder().trustStoreType(Authority.TYPE)
                .truststore(() -> Authority.open(environment.get("VALKEY_CA")), Authority.PASSWORD).build());
        }
        if (environment.containsKey("VALKEY_SENTINELS")) {
            Set<HostAndPort> sentinels = nodes(environment.get("VALKEY_SENTINELS"));
            return RedisSentinelClient.builder().masterName("valkey").sentinels(sentinels)
                .clientConfig(login.build()).sentinelClientConfig(login.build()).build();
        }
        if ("cluster".equals(environment.get("VALKEY_TOPOLOGY"))) {
            Set<HostAndPort> nodes = nodes(environment.get("VALKEY_NODES"));
            return RedisClusterClient.builder().nodes(nodes).clientConfig(login.build()).build();
        }
        HostAndPort node = JedisURIHelper.getHostAndPort(url);
        return RedisClient.builder().hostAndPort(node).clientConfig(login.build()).build();
    }

    static Set<HostAndPort> nodes(String list) {
        return Stream.of(list.split(",")).map(HostAndPort::from).collect(Collectors.toSet());
    }
    // end

    public static void main(String[] arguments) throws Exception {
        try (UnifiedJedis client = connect(System.getenv())) {
            for (int number = 0; number < 10; number++) {
                String key = "jedis:" + number;
                String value = UUID.randomUUID().toString();
                client.set(key, value, SetParams.setParams().ex(60));
                Check.same(value, client.get(key));
            }
            try (AbstractPipeline pipeline = client.pipelined()) {
                pipeline.del("{jedis}");
                Response<Long> answer = pipeline.incr("{jedis}");
                pipeline.sync();
                Check.same(1L, answer.get());
            }
            Check.same("script", client.eval("return ARGV[1]", List.of("jedis"), List.of("script")));
        }
        Check.passed("redis.clients/jedis");
    }
}
