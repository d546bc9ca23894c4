"""After a site moves to PostgreSQL and back between two visits, codes and desks still work."""

from tests.support.drop_box import Counsellor, DropBox
from tests.support.postgres import Postgres
from tests.support.steps import come_back, report_and_code, the_only_thread, write_on


def test_codes_and_desks_still_work_after_the_store_is_moved(
    box: DropBox, counsellor: Counsellor, postgres: Postgres
) -> None:
    code = report_and_code(box, "nl", "Voor de verhuizing")
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.reply(thread, "Een antwoord van toen")
    texts = ["Voor de verhuizing", "Een antwoord van toen"]
    for place in (postgres.url(postgres.site()), ""):
        box.stop()
        box.server("store", "move", "--to", place)
        box.serve()
        browser = box.browser()
        page = come_back(browser, "nl", code)
        assert [text for text in texts if text not in page.text] == []
        texts.append(f"Geschreven op plaats {len(texts)}")
        write_on(browser, page, texts[-1])
        fetched = counsellor.desk("fetch")
        assert "restored" not in fetched.stdout + fetched.stderr
        shown = counsellor.read(thread)
        assert [message["text"] for message in shown["messages"]] == texts
        assert all(message["verified"] for message in shown["messages"])
