#!lua flags=allow-oom
-- keys: workers beats
-- Takes a worker that ends off the list.
-- ARGV: worker
redis.call("ZREM", beats, ARGV[1])
return redis.call("HDEL", workers, ARGV[1])
