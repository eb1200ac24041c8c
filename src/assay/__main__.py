"""The command `assay`, as `python -m assay` too."""

import signal

from assay.cli import main


def run() -> None:
    try:
        main()
    finally:
        # All is said and put away. To an interrupt from now on Python would answer with a traceback, and no exit code.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    run()
