package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"clients/check"

	"github.com/redis/go-redis/v9"
)

// configuration
func connect() redis.UniversalClient {
	url, err := redis.ParseURL(os.Getenv("VALKEY_URL"))
	check.Must(err)
	options := &redis.UniversalOptions{Addrs: []string{url.Addr}, Username: url.Username, Password: url.Password}
	if file := os.Getenv("VALKEY_CA"); file != "" {
		pem, err := os.ReadFile(file)
		check.Must(err)
		options.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		options.TLSConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	if sentinels := os.Getenv("VALKEY_SENTINELS"); sentinels != "" {
		options.MasterName, options.Addrs = "valkey", strings.Split(sentinels, ",")
		options.SentinelUsername, options.SentinelPassword = url.Username, url.Password
	}
	options.IsClusterMode = os.Getenv("VALKEY_TOPOLOGY") == "cluster"
	return redis.NewUniversalClient(options)
}

// end

func main() {
	ctx, client := context.Background(), connect()
	for number := range 10 {
		key, value := fmt.Sprintf("go-redis:%d", number), make([]byte, 16)
		_, _ = rand.Read(value)
		check.Must(client.Set(ctx, key, value, time.Minute).Err())
		found, err := client.Get(ctx, key).Bytes()
		check.Must(err)
		check.That(bytes.Equal(found, value))
	}
	answers, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Del(ctx, "{go-redis}")
		pipe.Incr(ctx, "{go-redis}")
		return nil
	})
	check.Must(err)
	check.That(answers[1].(*redis.IntCmd).Val() == 1)
	found, err := client.Eval(ctx, "return ARGV[1]", []string{"go-redis"}, "script").Text()
	check.Must(err)
	check.That(found == "script")
	check.Must(client.Close())
	check.Passed("github.com/redis/go-redis/v9")
}
