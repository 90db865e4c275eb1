"""The program ``tickwork``, also ``python -m tickwork``."""

import sys


def main() -> None:
    """Run one command and end the process with its exit status."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Answered before anything is imported: scripts ask for it in passing.
        from . import __version__

        sys.stdout.write(f"tickwork {__version__}\n")
        return
    try:
        from .cli.app import run_command_line

        status = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:
        # Ctrl-C while the program was still being loaded: nothing had begun.
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
