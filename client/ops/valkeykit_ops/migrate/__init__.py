"""Live, verified and resumable migration from Redis or Valkey to Valkey.

    source, target = MigrationServer(resolve_settings(source_url)), MigrationServer(resolve_settings(target_url))
    with closing(MigrationState(Path("migration"))) as state, ProgressReporter(LogLines()) as reporter:
        report = Migration(source, target, Options(), state, reporter).run()

`valkeykit migrate run` does the same on the command line.
"""
