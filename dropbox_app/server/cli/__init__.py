"""The ``klankbord-server`` command, for operators.

The installed command calls ``run``.
"""

import signal
import sys


def run() -> None:
    """Run the command. Ctrl-C and a closed pipe end it without a traceback.

    Both are also handled while the program is being loaded. If the server's packages are missing,
    as on a counsellor's computer, a message says so and the exit code is 2.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from dropbox_app.server.cli.common import leave_unread
        from dropbox_app.server.cli.main import main
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("dropbox_app"):
            raise
        sys.stderr.write(
            "The server is not installed here: install klankbord[server], or use klankbord-desk.\n"
        )
        sys.exit(2)

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except BrokenPipeError:  # click does not catch it while it shows an error
        leave_unread()
