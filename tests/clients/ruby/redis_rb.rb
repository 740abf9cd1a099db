require_relative "gems"

require "json"
require "redis"
require "securerandom"

# configuration
url = ENV.fetch("VALKEY_URL")
username, password = URI(url).userinfo.split(":").map { |part| URI.decode_www_form_component(part) }
nodes = ENV.fetch("VALKEY_SENTINELS", "").split(",").map { |node| %i[host port].zip(node.split(":")).to_h }
login = { username:, password: }
tls = { ssl_params: { ca_file: ENV["VALKEY_CA"] } }
client =
  if nodes.any?
    Redis.new(url: "redis://valkey", sentinels: nodes.map { |node| node.merge(login) }, **login)
  elsif ENV["VALKEY_TOPOLOGY"] == "cluster"
    Redis.new(cluster: [url], **tls)
  else
    Redis.new(url:, **tls)
  end
# end

def same(wanted, found)
  raise "found #{found.inspect}, not #{wanted.inspect}" unless wanted == found
end

10.times do |number|
  value = SecureRandom.hex
  client.set("redis-rb:#{number}", value, ex: 60)
  same(value, client.get("redis-rb:#{number}"))
end
answers = client.multi do |transaction|
  transaction.del("{redis-rb}")
  2.times { transaction.incr("{redis-rb}") }
end
same([1, 2], answers.drop(1))
same("script", client.eval("return ARGV[1]", ["redis-rb"], ["script"]))
client.close
puts JSON.generate(version: Redis::VERSION)
