"""`python -m hub.cli` is the command `cityhub`."""

from hub.cli.app import main

main()
