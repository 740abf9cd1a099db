"""What an endpoint can do: throughput against latency, and whether the client or the server is the limit.

    for cell in Bench(resolve_settings(None), Plan()).run():
        print(cell)

`valkeykit bench` is the same for people.
"""
