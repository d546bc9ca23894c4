"""The ``klankbord-desk`` command, for counsellors.

The installed command calls ``run``.
"""

import signal


def run() -> None:
    """Run the command. Ctrl-C and a closed pipe end the program without a traceback.

    Ctrl-C while the program is being loaded does not cause a traceback either.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dropbox_app.desk.cli.common import leave_unread
    from dropbox_app.desk.cli.main import main

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except BrokenPipeError:  # click does not catch it while it shows an error
        leave_unread()
