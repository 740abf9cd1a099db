"""Moves the data of a Redis or Valkey to a Valkey: live, verified, resumable (extra `ops`).

    with State(Path("migration")) as state, Reporter(LineVoice()) as reporter:
        source, target = Server(resolve_settings(old)), Server(resolve_settings(new))
        report = Migration(source, target, Options(), state, reporter).run()

`valkeykit migrate` is the same for people.
"""
