# As Debian 12 has them.
gem "redis", "4.8.0"
gem "sidekiq", "6.4.1"
