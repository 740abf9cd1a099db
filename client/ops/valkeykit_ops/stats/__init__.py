"""Statistics of all nodes of a deployment: live, as JSON and for Prometheus.

    with Watch(resolve_settings(None)) as watch:
        watch.update()
        time.sleep(1)
        print(watch.update())

`valkeykit stats` and `valkeykit metrics` do the same on the command line.
"""
