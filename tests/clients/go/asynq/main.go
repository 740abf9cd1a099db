package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"time"

	"clients/check"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// configuration
func connection() asynq.RedisConnOpt {
	url, err := redis.ParseURL(os.Getenv("VALKEY_URL"))
	check.Must(err)
	var secure *tls.Config
	if file := os.Getenv("VALKEY_CA"); file != "" {
		pem, err := os.ReadFile(file)
		check.Must(err)
		secure = &tls.Config{RootCAs: x509.NewCertPool()}
		secure.RootCAs.AppendCertsFromPEM(pem)
	}
	if sentinels := os.Getenv("VALKEY_SENTINELS"); sentinels != "" {
		return asynq.RedisFailoverClientOpt{
			MasterName: "valkey", SentinelAddrs: strings.Split(sentinels, ","), Username: url.Username, Password: url.Password,
			SentinelUsername: url.Username, SentinelPassword: url.Password, TLSConfig: secure,
		}
	}
	if os.Getenv("VALKEY_TOPOLOGY") == "cluster" {
		nodes := strings.Split(os.Getenv("VALKEY_NODES"), ",")
		return asynq.RedisClusterClientOpt{Addrs: nodes, Username: url.Username, Password: url.Password, TLSConfig: secure}
	}
	return asynq.RedisClientOpt{Addr: url.Addr, Username: url.Username, Password: url.Password, TLSConfig: secure}
}

// end

func main() {
	queue := "asynq-" + rand.Text()
	client := asynq.NewClient(connection())
	job, err := client.Enqueue(asynq.NewTask("upper", []byte("valkey")), asynq.Queue(queue), asynq.Retention(time.Minute))
	check.Must(err)

	worker := asynq.NewServer(connection(), asynq.Config{Queues: map[string]int{queue: 1}, LogLevel: asynq.WarnLevel})
	mux := asynq.NewServeMux()
	mux.HandleFunc("upper", func(_ context.Context, task *asynq.Task) error {
		_, err := task.ResultWriter().Write([]byte(strings.ToUpper(string(task.Payload()))))
		return err
	})
	check.Must(worker.Start(mux))

	inspector := asynq.NewInspector(connection())
	check.Eventually(func() bool {
		info, err := inspector.GetTaskInfo(queue, job.ID)
		check.Must(err)
		return info.State == asynq.TaskStateCompleted && string(info.Result) == "VALKEY"
	})
	worker.Shutdown()
	check.Must(inspector.DeleteQueue(queue, true))
	check.Must(client.Close())
	check.Passed("github.com/hibiken/asynq")
}
