"""Diagnosis of an endpoint: findings with their confidence and fix. It only reads.

    report = examination.examine(target.of_url("redis://localhost:6379"))

`valkeykit doctor` does the same on the command line.
"""
