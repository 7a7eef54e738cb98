"""`tap-factorialhr login` where something is kept already, and what it asks for and from whom."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.login import Login, last_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENT = ("client_id", "client_secret")


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Login]:
    with Sandbox(Company(3)) as sandbox:
        yield Login(sandbox, tmp_path)


@pytest.fixture
def again(login: Login) -> Login:
    """A login for which settings name the place alone, where a session is kept."""
    code, said = login.here()
    assert code == 0, said
    for name in CLIENT:
        del login.config[name]
    return login


def change(login: Login, **values: Any) -> None:
    login.file.write_text(json.dumps(login.kept | values))


def on_a_terminal(login: Login, *options: str, answers: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run it with a terminal for its input and its output, and answer its questions; all that is seen there."""
    ours, theirs = pty.openpty()
    # In a session of its own, since what is hidden is asked for on the terminal of the session, where it has one.
    process = login.start(*options, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    end = threading.Timer(60, process.kill)
    end.start()
    seen, left = b"", list(answers)
    with contextlib.suppress(OSError):  # Linux has it that a terminal that nobody has open any more is an error.
        while part := os.read(ours, 4096):
            seen += part
            if seen.endswith(b": ") and left:
                os.write(ours, f"{left.pop(0)}\n".encode())
    end.cancel()
    os.close(ours)
    return login.judged(process.wait(timeout=10), seen.decode().replace("\r\n", "\n"))


# --- the client that is kept


@pytest.mark.parametrize("reason", ["--replace", "over"])
def test_the_place_alone_is_enough_to_log_in_again(again: Login, reason: str) -> None:
    if reason == "over":
        change(again, created_at="2020-01-01T00:00:00+00:00")
    before = again.kept
    code, said = again.run(*(["--replace"] if reason == "--replace" else []))
    assert code == 0, said
    assert f"the session that is kept there: {before['client_id']}\n" in said
    assert [again.kept[name] for name in CLIENT] == [before[name] for name in CLIENT]
    assert again.kept["access_token"] != before["access_token"]
    assert again.sandbox.oauth.accepts(again.kept["access_token"])
    assert again.sandbox.oauth.refreshes == 0


def test_a_refresh_token_in_the_settings_may_stand_there_alone(again: Login) -> None:
    again.config["refresh_token"] = "an-old-one"
    code, said = again.here("--replace")
    assert code == 0, said
    assert "Take out of them, since the session takes its place: refresh_token\n" in said


def test_on_a_terminal_nothing_is_asked_that_is_kept(again: Login) -> None:
    code, said = on_a_terminal(again, "--replace", "--wait=1")
    assert code == 1
    assert "No answer came back" in last_line(said)
    assert "Client" not in said


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_good_session_is_told_before_anything_is_asked(again: Login, is_terminal: bool) -> None:
    code, said = on_a_terminal(again) if is_terminal else again.run()
    assert code == 1
    assert said.startswith("Error: There is a session already")
    assert len(said.strip().splitlines()) == 1


def test_the_settings_win(again: Login) -> None:
    right = again.kept["client_secret"]
    change(again, client_secret="replaced-meanwhile")
    code, said = again.here("--replace")
    assert code == 1
    assert "refused client_id or client_secret" in last_line(said)
    again.config["client_secret"] = right
    code, said = again.here("--replace")
    assert code == 0, said
    assert again.kept["client_secret"] == right


@pytest.mark.parametrize("is_option", [True, False])
def test_the_secret_of_one_application_is_not_that_of_another(again: Login, is_option: bool) -> None:
    if not is_option:
        again.config["client_id"] = "another"
    code, said = again.run("--replace", *(["--client-id=another"] if is_option else []))
    assert code == 1
    assert said == "Error: client_secret is not set, and there is nobody to ask: set it in the settings\n"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"created_at": "one day"}, "has no ISO 8601 date"),
        ({"target_url": "https://api.example"}, "belongs to the host api.example"),
    ],
)
def test_what_is_no_session_of_this_server_lends_nothing(again: Login, values: dict[str, Any], says: str) -> None:
    change(again, **values)
    before = again.file.read_bytes()
    for code, said in (again.run("--replace"), on_a_terminal(again, "--replace")):
        assert code == 1
        assert says in last_line(said)
        assert len(said.strip().splitlines()) == 1
    assert again.file.read_bytes() == before


def test_the_session_in_a_database_lends_its_client_as_well(login: Login, database: str) -> None:
    whole = {name: value for name, value in login.config.items() if name != "token_file"} | {"token_database": database}
    place = {"base_url": login.sandbox.base_url, "token_database": database}
    for named in ({"token_name": "ours"}, {}):
        login.config = whole | named
        assert login.here()[0] == 0
        login.config = place | (named or {"client_id": whole["client_id"]})
        code, said = login.here()
        assert code == 1
        assert "There is a session already" in said
        code, said = login.here("--replace")
        assert code == 0, said
    login.config = place
    code, said = login.here()
    assert code == 1
    assert "client_id and client_secret are not set" in said


# --- what is asked, and what is told where nobody can be asked


def test_on_a_terminal_the_place_is_asked_for_first(login: Login) -> None:
    place = login.config["token_file"]
    login.config = {"base_url": login.sandbox.base_url}
    code, said = on_a_terminal(login, "--wait=1", answers=(place, "the-client", "the-word"))
    assert code == 1
    questions = ["File to keep the session in: ", "Client id of the OAuth application: ", "Client secret: "]
    assert re.findall("|".join(questions), said) == questions
    assert "client_id=the-client&" in said
    assert "the-word" not in said
    assert "No answer came back" in last_line(said)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (
            ["client_id"],
            "client_id is not set, and there is nobody to ask: set it in the settings, or give --client-id",
        ),
        (["client_secret"], "client_secret is not set, and there is nobody to ask: set it in the settings"),
        (
            ["token_file"],
            "token_file is not set, and there is nobody to ask: set it in the settings, or give --token-file",
        ),
        (
            ["client_secret", "token_file"],
            (
                "client_secret and token_file are not set, and there is nobody to ask: set them in the settings, or "
                "give token_file as --token-file"
            ),
        ),
        (
            ["client_id", "client_secret", "token_file"],
            (
                "client_id, client_secret and token_file are not set, and there is nobody to ask: set them in the "
                "settings, or give client_id as --client-id and token_file as --token-file"
            ),
        ),
    ],
)
def test_all_that_is_missing_is_told_at_once(login: Login, missing: list[str], told: str) -> None:
    for name in missing:
        del login.config[name]
    code, said = login.run()
    assert (code, said) == (1, f"Error: {told}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="a limit that stands for a full disk")
def test_a_place_without_room_is_told_before_anything_is_asked(login: Login) -> None:
    login.config.pop("client_id")
    process = login.start("--paste", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    code, said = login.judged(*ended(process))
    assert code == 1
    assert re.search(r"token_file .* cannot be written \(.*\), so that new tokens could not be kept", said)
    assert last_line(said).endswith("No token was used up")
    assert not login.sandbox.requests


# --- pasting


@pytest.mark.parametrize("stdin", ["at its end", "/dev/null", "open"])
def test_pasting_is_offered_where_something_can_come(login: Login, stdin: str) -> None:
    if stdin == "/dev/null":
        code, said = login.judged(*ended(login.start("--wait=1", stdin=subprocess.DEVNULL)))
    elif stdin == "open":
        process = login.start("--wait=1")
        assert process.stdout
        out = process.stdout.read()  # communicate() would end its input.
        code, said = login.judged(*ended(process))
        said = out + said
    else:
        read, write = os.pipe()
        os.close(write)
        process = login.start("--wait=1", stdin=read)
        os.close(read)
        code, said = login.judged(*ended(process))
    assert code == 1
    assert "No answer came back" in last_line(said)
    assert ("paste here" in said) == (stdin == "open")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, errors = process.communicate(timeout=60)
    return process.returncode, out + errors


@pytest.mark.parametrize("pasted", ["", "no code", "no code\n"])
def test_an_error_after_a_question_has_a_line_of_its_own(login: Login, pasted: str) -> None:
    process = login.start("--paste", stderr=subprocess.STDOUT)
    said, _ = process.communicate(pasted, timeout=60)
    assert process.returncode == 1
    assert last_line(said).startswith("Error: ")
