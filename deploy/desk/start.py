"""Start ``klankbord-desk`` from the folder, like an installed program."""

import os
import sys

# On Linux, PyInstaller points programs to the folder's own libraries. A browser that the desk
# starts must find its own libraries, so the original value is restored.
if sys.platform == "linux":
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = before

# On Windows, a program without a console has no standard output.
if sys.stdout is None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the program ends
if sys.stderr is None:
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the program ends

from dropbox_app.desk.cli import run

run()
