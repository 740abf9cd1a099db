"""Moves the data of a Redis or Valkey to a Valkey: live, verified, resumable (extra `ops`).

    with State(Path("migration")) as state, Reporter(LineVoice()) as reporter:
        report = Migration(Server(settle(old)), Server(settle(new)), Options(), state, reporter).run()

`valkeykit migrate` is the same for people.
"""
