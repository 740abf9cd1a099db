"""Benchmark of an endpoint: throughput, latency, and whether the client or the server is the limit.

    for cell in Bench(resolve_settings(None), Plan()).run():
        print(cell)

`valkeykit bench` does the same on the command line.
"""
