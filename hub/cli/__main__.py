"""`python -m hub.cli` is the command `cityhub`."""

from hub.cli.main import main

main()
