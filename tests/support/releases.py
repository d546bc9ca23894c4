"""Releases signed by the real minisign, with a test key."""

import hashlib
import subprocess
import tempfile
from pathlib import Path


class Signer:
    """A minisign key pair without a passphrase."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.public, self.secret = folder / "release.pub", folder / "release.key"
        self._run("-G", "-W", "-p", self.public, "-s", self.secret)

    def sign(self, signed: bytes, comment: str, *more: str) -> str:
        """Return a signature over these bytes, as text."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file"
            file.write_bytes(signed)
            self._run("-S", *more, "-s", self.secret, "-m", file, "-t", comment)
            return Path(f"{file}.minisig").read_text("utf-8")

    def release(self, folder: Path, files: dict[str, bytes]) -> Path:
        """Return a folder with these files, their checksums and a signature."""
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        sums = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
        )
        (folder / "SHA256SUMS").write_text(sums)
        signature = self.sign(sums.encode(), "klankbord")
        (folder / "SHA256SUMS.minisig").write_text(signature)
        return folder

    def _run(self, *words: str | Path) -> None:
        subprocess.run(["minisign", *map(str, words)], capture_output=True, check=True)
