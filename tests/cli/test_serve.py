"""`assay serve` as an operator meets it: a real process, its options, what it prints, how it ends."""

import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from assay.cli import main
from assay.config import Settings, option_of, variable_of
from cli import commands
from services.callers import AGES, API, Caller, wait_until
from services.processes import Process, descendants, ended_at_the_end, is_alive
from services.serving import TOKEN, address_of, calling, server, serving

FIRST_START = re.compile(r"^First start: your token is (\S+) ", re.MULTILINE)
END_SECONDS = 15


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server that the tests of this module share."""
    with serving(tmp_path_factory.mktemp("shared"), ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        yield process


@pytest.fixture
def caller(running: Process) -> Iterator[Caller]:
    with calling(running) as caller:
        yield caller


def end_in_order(process: Process, number: signal.Signals = signal.SIGTERM) -> None:
    """End it by a signal; within seconds it is gone, with exit code 0 and all its processes."""
    family = descendants(process.id)
    assert family, "its workers are processes"
    process.send(number)
    assert process.wait(END_SECONDS), process.output()
    assert process.popen is not None
    assert process.popen.returncode == 0, process.output()
    wait_until(lambda: not any(is_alive(member) for member in family), what="no process of it is left", seconds=5)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)


def test_token_is_printed_on_the_first_start_and_never_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second start is measured and shown; a busy machine proves nothing, so no limit is held to."""
    with serving(tmp_path) as process:
        found = FIRST_START.findall(process.output())
        assert len(found) == 1
        with calling(process, token=found[0]) as caller:
            caller.make_dataset()
        end_in_order(process)
        assert "Traceback" not in process.output()
        started = time.monotonic()
        process.start()
        process.wait_until_ready()
        with capsys.disabled():
            sys.stdout.write(f"\nassay serve was ready in {time.monotonic() - started:.2f} s\n")
        assert "token" not in process.output()
        assert found[0] not in process.output()
        with calling(process, token=found[0]) as caller:
            assert len(caller.read("/datasets")["results"]) == 1


def test_bootstrap_token_is_set_up_and_not_printed(running: Process, caller: Caller) -> None:
    assert "First start" not in running.output()
    dataset_id = caller.make_dataset(schema=AGES)  # so it is a writer of the workspace `default`
    assert caller.read(f"/datasets/{dataset_id}")["created_by"] == "bootstrap"


def test_token_that_can_be_guessed_is_refused_where_others_can_reach_it(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::"):
        refused = commands.run("serve", "--host", host, cwd=tmp_path, ASSAY_BOOTSTRAP_TOKEN="CHANGE-ME")
        assert refused.returncode == 2
        assert "ASSAY_BOOTSTRAP_TOKEN must have at least 16 characters" in refused.stderr
        assert "CHANGE-ME" not in refused.stderr
        assert not list(tmp_path.iterdir())
    with serving(tmp_path, "--host", "localhost", ASSAY_BOOTSTRAP_TOKEN="CHANGE-ME"):
        pass


def test_what_it_keeps_is_for_nobody_else(tmp_path: Path) -> None:
    """Its database has the keys that sign: whoever reads them may sign in as a writer."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    with serving(tmp_path, "--data-dir", str(folder), ASSAY_BOOTSTRAP_TOKEN=TOKEN):
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert found.pop("storage") == 0o700
    assert set(found.values()) == {0o600}
    assert "assay.db" in found


def test_it_takes_all_the_open_files_that_it_may(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        rows = Path(f"/proc/{process.id}/limits").read_text().splitlines()
        (limit,) = (row.split()[3] for row in rows if row.startswith("Max open files"))
    assert limit == ("unlimited" if most == resource.RLIM_INFINITY else str(most))


def test_it_is_alive_and_ready(caller: Caller) -> None:
    assert caller.client.get("/healthz").json() == {"status": "ok"}
    assert caller.client.get("/readyz").json() == {"status": "ready"}


def page_faults(process: Process) -> int:
    return int(Path(f"/proc/{process.id}/stat").read_text().rpartition(")")[2].split()[7])


def test_upload_does_not_need_new_memory_for_each_block(running: Process, caller: Caller) -> None:
    """To have the system find and clear pages for them took most of the time of an upload."""
    offer = caller.ask_for_url(caller.make_dataset())
    before = page_faults(running)
    assert caller.put(offer, b"age\n" + b"18\n" * 20_000_000).status_code == 200
    assert page_faults(running) - before < 5000  # of the 15,000 pages that have come in


def test_interrupt_ends_it_in_order(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        end_in_order(process, signal.SIGINT)
        assert "Traceback" not in process.output()


STUCK = """
import sys, time
from assay import serving
from assay.cli import main
from assay.web import api

serving.EXIT_SECONDS = 2
api.dataset_for = lambda *given: time.sleep(1000)
sys.argv[0] = "assay"
main()
"""


def test_it_ends_though_a_call_never_comes_back(tmp_path: Path) -> None:
    process = server(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN)
    process.command[1:3] = ["-c", STUCK]
    with ended_at_the_end(process):
        process.start()
        process.wait_until_ready()
        with socket.create_connection(place_of(process)) as client:
            head = f"GET {API}/datasets/any HTTP/1.1\r\nHost: here\r\nAuthorization: Token {TOKEN}\r\n\r\n"
            client.sendall(head.encode())
            time.sleep(0.5)
            end_in_order(process)
        assert "did not come back in 2 s" in process.output()


def test_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        family = descendants(process.id)
        place = place_of(process)
        with socket.create_connection(place) as client:
            client.sendall(b"POST /session HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nto")  # and no more
            process.send(signal.SIGINT)
            wait_until(lambda: not is_taken(place), what="the server takes no more")
            process.send(signal.SIGINT)
            assert process.wait(1), "it does not wait for the request"
        assert process.popen is not None
        assert process.popen.returncode == -signal.SIGINT
        assert "Traceback" not in process.output()
        wait_until(lambda: not any(is_alive(member) for member in family), what="no process of it is left", seconds=5)


def place_of(process: Process) -> tuple[str, int]:
    url = urlsplit(address_of(process))
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


def is_taken(place: tuple[str, int]) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(place) == 0


def test_sigterm_right_after_the_start_ends_it_in_order(tmp_path: Path) -> None:
    process = server(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN)
    process.start()
    time.sleep(0.7)  # somewhere in the midst of starting
    family = descendants(process.id)
    process.send(signal.SIGTERM)
    assert process.wait(END_SECONDS)
    assert "Traceback" not in process.output()
    # A child that was just starting sees that it is alone once it has started.
    wait_until(lambda: not any(is_alive(member) for member in family), what="no process of it is left", seconds=5)


def test_sigterm_answers_clients_that_wait(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "0", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process, calling(process) as caller:
        dataset_id = caller.make_dataset(schema=AGES)
        path = f"/datasets/{dataset_id}/imports/{caller.ask_for_url(dataset_id)['import_id']}"
        with ThreadPoolExecutor(1) as waiting:
            answer = waiting.submit(caller.get, path, wait=60)
            wait_until(lambda: "upload-url" in process.output(), what="the server is at work")
            process.send(signal.SIGTERM)
            assert process.wait(END_SECONDS)
            assert answer.result().json()["status"] == "uninitialised"
        assert process.popen is not None
        assert process.popen.returncode == 0


def test_sigterm_during_an_upload_tells_the_client_and_leaves_no_file(tmp_path: Path) -> None:
    with serving(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process, calling(process) as caller:
        offer = caller.ask_for_url(caller.make_dataset())
        with socket.create_connection(place_of(process), timeout=30) as client:
            head = f"PUT {urlsplit(offer['upload_url']).path} HTTP/1.1\r\nHost: here\r\nContent-Length: 9000000\r\n"
            client.sendall(f"{head}Content-Type: {offer['content_type']}\r\n\r\nage\n".encode() + b"18\n" * 1_000_000)
            wait_until(lambda: any(each.stat().st_size for each in partial_files(tmp_path)), what="it is written")
            process.send(signal.SIGTERM)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert process.wait(END_SECONDS)
        assert partial_files(tmp_path) == []
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"to the same URL once it is back" in answer
    assert "Traceback" not in process.output()


def partial_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("storage/tmp/*") if path.is_file()]


def test_job_in_hand_survives_a_restart(tmp_path: Path) -> None:
    data = b"age\n" + b"".join(b"%d\n" % number for number in range(1, 10_001))
    with serving(tmp_path, "--chunk-bytes", "1024", ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process:
        with calling(process) as caller:
            dataset_id = caller.make_dataset(schema=AGES)
            import_id = caller.upload(dataset_id, data)
            wait_until(lambda: caller.job(dataset_id, import_id).get("processed_offset"), what="it has begun")
        end_in_order(process)
        process.start(ASSAY_CHUNK_BYTES="1000000")
        process.wait_until_ready()
        with calling(process) as caller:
            job = caller.settled(dataset_id, import_id)
            assert (job["status"], job["accepted_count"], job["duplicate_count"]) == ("complete", 10_000, 0)
            assert [record["data"]["age"] for record in caller.records(dataset_id)] == [*range(1, 10_001)]


def test_port_in_use_is_told_with_what_to_do(running: Process, tmp_path: Path) -> None:
    port = address_of(running).rsplit(":", 1)[1]
    ended = run("serve", "--port", port, "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"assay: Can't listen on 127.0.0.1 port {port}: ")
    assert "--port or ASSAY_PORT" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (["--port", "70000"], {}, "--port (ASSAY_PORT) must be a port"),
        (["--port", "x"], {}, "'x' is not a valid integer"),
        ([], {"ASSAY_PORT": "many"}, "ASSAY_PORT must be a number, not 'many'"),
        (["--workers", "-1"], {}, "--workers (ASSAY_WORKERS) must be"),
        ([], {"ASSAY_CHUNK_BYTES": "7"}, "--chunk-bytes (ASSAY_CHUNK_BYTES) must be between 1024 bytes and 1 GiB"),
        (["--base-url", "example.com"], {}, "--base-url (ASSAY_BASE_URL) must be an http or https URL"),
        (["--unknown"], {}, "No such option"),
    ],
)
def test_bad_setting_is_told_in_a_sentence(words: list[str], environment: dict[str, str], told: str) -> None:
    result = CliRunner().invoke(main, ["serve", *words], env=environment)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


UNSERVABLE = {
    "database URL": ["--database-url", "mysql://x"],
    "unknown scheme": ["--storage-url", "ftp://x"],
    "data directory": ["--data-dir", "/proc/nothing"],
    "--host or ASSAY_HOST": ["--host", "no.such.host.invalid"],
}


def test_setting_that_can_not_be_served_with_is_told_in_a_sentence(tmp_path: Path) -> None:
    place = ["serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    with ThreadPoolExecutor(len(UNSERVABLE)) as threads:
        all_ended = list(threads.map(lambda words: run(*place, *words), UNSERVABLE.values()))
    for told, ended in zip(UNSERVABLE, all_ended, strict=True):
        assert ended.returncode == 2, ended.stderr
        assert told in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""


def test_every_setting_but_the_secrets_has_its_option_and_variable() -> None:
    text = re.sub(r"\s+", " ", CliRunner().invoke(main, ["serve", "--help"], terminal_width=1000).stdout)
    for row in fields(Settings):
        if row.metadata.get("is_secret"):
            assert option_of(row.name) not in text, "every user of a machine can read a process's options"
            continue
        assert f"{option_of(row.name)} " in text
        assert f"[env: {variable_of(row.name)}]" in text


def test_options_win_over_variables(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    environment = {"ASSAY_DATA_DIR": str(tmp_path / "ignored"), "ASSAY_UPLOAD_URL_SECONDS": "60"}
    with (
        serving(tmp_path, "--data-dir", str(elsewhere), ASSAY_BOOTSTRAP_TOKEN=TOKEN, **environment) as process,
        calling(process) as caller,
    ):
        caller.ask_for_url(caller.make_dataset())
        assert (elsewhere / "assay.db").exists()
        assert not (tmp_path / "ignored").exists()


def test_database_storage_and_base_url_may_lie_elsewhere(tmp_path: Path) -> None:
    options = [
        *("--database-url", f"sqlite:///{tmp_path / 'rows.db'}"),
        *("--storage-url", (tmp_path / "bytes").as_uri()),
        *("--base-url", "https://assay.example/prefix/"),
        *("--workers", "0"),
    ]
    with serving(tmp_path, *options, ASSAY_BOOTSTRAP_TOKEN=TOKEN) as process, calling(process) as caller:
        offer = caller.ask_for_url(caller.make_dataset())
        assert offer["upload_url"].startswith("https://assay.example/prefix/uploads/")
        own = offer["upload_url"].replace("https://assay.example/prefix", address_of(process))
        assert caller.put({**offer, "upload_url": own}, b"age\n1\n").status_code == 200
        assert (tmp_path / "rows.db").exists()
        assert list((tmp_path / "bytes" / "datasets").rglob("answers.csv"))


def test_log_has_neither_tokens_nor_records(running: Process, caller: Caller) -> None:
    dataset_id = caller.make_dataset(schema={"fields": {"text": {"type": "text", "maxLength": 20}}})
    data = b'{"text": "a small secret"}\n{"text": "a secret that is too long to be taken"}\n{"text": broken secret\n'
    job = caller.import_file(dataset_id, data, "answers.jsonl")
    assert job["status"] == "partial"
    caller.get("/datasets", cursor="secret cursor")
    output = running.output()
    assert f"import {job['import_id']} attempt 1 is partial" in output
    assert TOKEN not in output
    assert "secret" not in output


def test_it_listens_where_it_is_told_and_nowhere_else(running: Process) -> None:
    port = int(address_of(running).rsplit(":", 1)[1])
    with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
        elsewhere.connect(("127.0.0.2", port))
