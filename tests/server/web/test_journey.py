"""The reporter's way through the site, without JavaScript."""

from tests.server.web.conftest import Counsellor, House


def test_the_whole_way(house: House, noor: Counsellor) -> None:
    """A report gives seven words; they bring the answer back; what is written on arrives."""
    reporter = house.browser()
    told = reporter.tell("Er is iets gebeurd.", needs=["be_heard"], ongoing="yes")
    assert told.status == 200
    code = told.code
    assert noor.texts() == ["Er is iets gebeurd."]
    noor.write("reply", {"text": "Dank je wel."})

    later = house.browser()
    conversation = later.come_back(code)
    assert conversation.path == "/nl/conversation"
    assert "Er is iets gebeurd." in conversation.text
    assert "Dank je wel." in conversation.text
    sent = later.write_on("Graag gedaan.")
    assert "Graag gedaan." in sent.text
    assert noor.texts() == ["Er is iets gebeurd.", "Dank je wel.", "Graag gedaan."]
