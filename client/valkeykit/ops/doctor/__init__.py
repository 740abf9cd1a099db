"""Says what is wrong with an endpoint, how sure that is, and what mends it. It only reads.

    report = run.examine(target.of_url("redis://localhost:6379"))

`valkeykit doctor` is the same for people.
"""
