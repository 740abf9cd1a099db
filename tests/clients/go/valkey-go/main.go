package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"clients/check"

	"github.com/valkey-io/valkey-go"
)

// configuration
func connect() (valkey.Client, error) {
	options := valkey.MustParseURL(os.Getenv("VALKEY_URL"))
	if file := os.Getenv("VALKEY_CA"); file != "" {
		pem, err := os.ReadFile(file)
		check.Must(err)
		options.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		options.TLSConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	if sentinels := os.Getenv("VALKEY_SENTINELS"); sentinels != "" {
		options.InitAddress = strings.Split(sentinels, ",")
		options.Sentinel = valkey.SentinelOption{
			MasterSet: "valkey", Username: options.Username, Password: options.Password,
		}
	}
	options.ForceSingleClient = os.Getenv("VALKEY_TOPOLOGY") != "cluster" && options.Sentinel.MasterSet == ""
	return valkey.NewClient(options)
}

// end

func main() {
	ctx := context.Background()
	client, err := connect()
	check.Must(err)
	for number := range 10 {
		key, value := fmt.Sprintf("valkey-go:%d", number), rand.Text()
		check.Must(client.Do(ctx, client.B().Set().Key(key).Value(value).Ex(time.Minute).Build()).Error())
		found, err := client.Do(ctx, client.B().Get().Key(key).Build()).ToString()
		check.Must(err)
		check.That(found == value)
		found, err = client.DoCache(ctx, client.B().Get().Key(key).Cache(), time.Minute).ToString() // kept here
		check.Must(err)
		check.That(found == value)
	}
	found, err := valkey.NewLuaScript("return ARGV[1]").Exec(ctx, client, []string{"valkey-go"}, []string{"script"}).ToString()
	check.Must(err)
	check.That(found == "script")
	client.Close()
	check.Passed("github.com/valkey-io/valkey-go")
}
