"""Live, verified and resumable migration from Redis or Valkey to Valkey.

    with MigrationState(Path("migration")) as state, ProgressReporter(LogLines()) as reporter:
        report = Migration(MigrationServer(settle(old)), MigrationServer(settle(new)), Options(), state, reporter).run()

`valkeykit migrate` does the same on the command line.
"""
