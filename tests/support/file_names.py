"""Deceptive file names, and the rules for a safe name on disk."""

from hypothesis import strategies as st

# Names that Windows treats as devices, in any case and with any extension.
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"} | {
    port + number for port in ("COM", "LPT") for number in "0123456789\u00b9\u00b2\u00b3"
}
# Each of these is removed, replaced or kept by some step of the sanitiser. Names that consist only
# of them, in any order, test how the steps interact.
_PIECES = (
    ".", "-", "~", "_", "/", "\\", ":", "%", '"', "nul", "com1", "aux", "lpt\u00b2", "txt", "e",
    " ", "\u00a0", "\u3000", "\u200b", "\u202e", "\u0301", "\u0338", "\t", "\n", "\0", "\ud800",
)  # fmt: skip


def names() -> st.SearchStrategy[str]:
    """Return arbitrary text, and text with patterns that the sanitiser handles."""
    tricky = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)
    return st.one_of(st.text(max_size=300), tricky, st.builds("{}{}".format, tricky, st.text()))


def assert_only_a_name(name: str) -> None:
    """Check that a name is visible, and not a hidden file, option, home, folder or device."""
    assert name
    assert name[0] not in ".-~ "
    assert name[-1] not in ". "
    assert not set(name) & set('/\\:*?"<>|')
    assert name.isprintable()
    assert name.partition(".")[0].rstrip(" ").upper() not in _DEVICES
