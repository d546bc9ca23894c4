"""Pad sealed data to one of a few lengths, which reveal little (SPEC section 4)."""

MESSAGE_SIZES = (8_192, 32_768, 131_072)  # bytes of a message before sealing
SMALLEST_ATTACHMENT = 16_384  # bytes


def padme(length: int) -> int:
    """Round ``length`` up so that it reveals only O(log log) bits; leave lengths up to 2 unchanged.

    With E = ⌊log2 L⌋ and S = ⌊log2 E⌋ + 1, the last E - S bits become zero. Padding adds at most 12
    %, and less than 6 % from 64 KiB on.
    """
    if length < 0:
        raise ValueError("a length cannot be negative")
    if length <= 2:
        return length
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()  # S; bit_length of E is the floor of its logarithm, plus 1
    cut = max(0, exponent - kept)
    return (length + (1 << cut) - 1) >> cut << cut


def attachment_size(length: int) -> int:
    """Return the padded length of an attachment whose content is ``length`` bytes."""
    return max(SMALLEST_ATTACHMENT, padme(length))
