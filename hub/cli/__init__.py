"""The command `cityhub`: Typer commands in modules by topic, put together in `app`, started by `main`."""
