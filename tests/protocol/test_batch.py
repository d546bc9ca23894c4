"""Several sealed items in one body (SPEC section 6)."""

from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol.batch import complete, pack, unpack

ITEMS = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@given(ITEMS)
def test_packed_items_can_be_unpacked(items: list[bytes]) -> None:
    assert unpack(pack(items), len(items)) == items


@given(ITEMS, st.data())
def test_body_that_breaks_off_still_has_its_complete_items(
    items: list[bytes], data: st.DataObject
) -> None:
    body = pack(items)
    length = data.draw(st.integers(0, len(body)))
    found = complete(body[:length], len(items))
    assert found == items[: len(found)]
    assert length < len(pack(items[: len(found) + 1])) or found == items


@given(st.binary(max_size=60), st.integers(1, 5))
def test_any_body_has_at_most_the_requested_number_of_items(body: bytes, most: int) -> None:
    found = complete(body, most)
    assert len(found) <= most
    assert body.startswith(pack(found))
