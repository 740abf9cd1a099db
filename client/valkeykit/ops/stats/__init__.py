"""What every node of a deployment does now, for people, for Prometheus, and as a plot.

    with Watch(resolve_settings(None)) as watch:
        watch.look()
        time.sleep(1)
        print(watch.look())

`valkeykit stats` and `valkeykit metrics` are the same for people.
"""
