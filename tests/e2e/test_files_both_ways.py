"""Files from a browser without JavaScript to the real desk and back."""

import json
import random
from pathlib import Path

from tests.support.chance import seed
from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import come_back, report_and_code, the_only_thread

MIB = 1024 * 1024
NAMES = ["foto.jpg", "../../weg.txt", "gpj.\u202eexe", "😀.bin", "n" * 200 + ".pdf"]


def test_files_arrive_byte_for_byte_in_both_directions(
    box: DropBox, counsellor: Counsellor, tmp_path: Path
) -> None:
    chance = random.Random(seed())  # noqa: S311 - contents, no secrets
    sizes = [1, 16_385, 70_000, 0, 3 * MIB + 1]
    given = [(name, chance.randbytes(size)) for name, size in zip(NAMES, sizes, strict=True)]
    code = report_and_code(box, "nl", "Het gaat over mijn chef.")
    browser = box.browser()
    come_back(browser, "nl", code)
    page = browser.get("/nl/files")
    page = browser.upload(page, page.form_with("files"), given, text="Zie de bijlagen.")
    assert page.status == 200, page.text

    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    shown = json.loads(counsellor.desk("files", thread, "--json").stdout)
    assert [one["state"] for one in shown] == ["here"] * len(given)
    assert [one["size"] for one in shown] == sizes
    assert "COULD NOT BE VERIFIED" not in counsellor.desk("read", thread).stdout
    folder = tmp_path / "saved"
    folder.mkdir()
    for one in shown:
        counsellor.desk("save", thread, one["item"][:8], "--out", folder)
    assert sorted(p.read_bytes() for p in folder.iterdir()) == sorted(c for _, c in given)
    assert {p.name for p in folder.iterdir()} == {one["safe_name"] for one in shown}

    back = {f"blad-{n}.bin": chance.randbytes(size) for n, size in enumerate(sizes)}
    text = tmp_path / "answer.txt"
    text.write_text("Hier zijn ze.")
    arguments: list[str | Path] = []
    for name, content in back.items():
        (tmp_path / name).write_bytes(content)
        arguments += ["--file", tmp_path / name]
    counsellor.desk("reply", thread, "--text-file", text, *arguments)
    shown = json.loads(counsellor.desk("files", thread, "--json").stdout)
    own = {one["name"]: one["item"] for one in shown if one["name"] in back}
    assert own.keys() == back.keys()
    assert {one["state"] for one in shown} == {"here"}
    come_back(browser, "nl", code)
    for name, item in own.items():
        got = browser.get(f"/nl/files/{item}")
        assert got.status == 200
        assert got.body == back[name]
    # Another fetch finds no fault, and no file that no message names.
    counsellor.desk("fetch")
    assert "ADDED" not in counsellor.desk("read", thread).stdout


def test_desk_reports_the_servers_limit_before_sending(
    box: DropBox, counsellor: Counsellor, tmp_path: Path
) -> None:
    report_and_code(box, "nl", "Het gaat over mijn chef.")
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    large, text = tmp_path / "large.bin", tmp_path / "answer.txt"
    text.write_text("Te groot")
    with large.open("wb") as file:
        file.truncate(100 * MIB + 1)
    before = sum(path.stat().st_size for path in box.folder.rglob("*") if path.is_file())
    done = counsellor.desk(
        "reply", thread, "--text-file", text, "--file", large, check=False
    )  # fmt: skip
    assert done.returncode == 1
    assert "104,857,600 for a file" in done.stderr
    assert "Nothing was sent" in done.stderr
    assert len(counsellor.read(thread)["messages"]) == 1
    after = sum(path.stat().st_size for path in box.folder.rglob("*") if path.is_file())
    assert after < before + MIB
