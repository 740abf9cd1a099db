require_relative "gems"

require "json"
require "securerandom"
require "sidekiq"

# configuration
url = ENV.fetch("VALKEY_URL")
username, password = URI(url).userinfo.split(":").map { |part| URI.decode_www_form_component(part) }
nodes = ENV.fetch("VALKEY_SENTINELS", "").split(",").map { |node| %i[host port].zip(node.split(":")).to_h }
login = { username:, password: }
timeout = 10 # seconds: the default is 1
connection =
  if nodes.any?
    { url: "redis://valkey", sentinels: nodes.map { |node| node.merge(login) }, **login, timeout: }
  else
    { url:, ssl_params: { ca_file: ENV["VALKEY_CA"] }, timeout: }
  end
Sidekiq.configure_client { |config| config.redis = connection }
Sidekiq.configure_server { |config| config.redis = connection }
# end

class Add
  include Sidekiq::Job

  def perform(left, right, result)
    Sidekiq.redis { |client| client.lpush(result, left + right) }
  end
end

if $PROGRAM_NAME == __FILE__
  queue = "sidekiq-#{SecureRandom.hex(4)}"
  Add.set(queue:).perform_async(2, 3, "#{queue}:result")
  worker = spawn("sidekiq", "--require", __FILE__, "--queue", queue, "--concurrency", "1", out: :err)
  begin
    _, sum = Sidekiq.redis { |client| client.brpop("#{queue}:result", timeout: 60) }
    raise "found #{sum.inspect}, not 5" unless sum == "5"
  ensure
    Process.kill("TERM", worker)
    Process.wait(worker)
  end
  puts JSON.generate(version: Sidekiq::VERSION)
end
