"""Our own description of the API is true: schemathesis calls a real service by it, with every check on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.serving import TOKEN, address_of, serving

HERE = Path(__file__).parent
SECONDS = int(os.environ.get("CONFORMANCE_SECONDS", "40"))  # for all phases; what is left to draw then is left
EXAMPLES = os.environ.get("CONFORMANCE_EXAMPLES", "5")


def run_schemathesis(address: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        *[sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")],
        *["run", f"{address}/openapi.json", "--header", f"Authorization: Token {TOKEN}"],
        *["--max-time", str(SECONDS), "--max-examples", EXAMPLES, "--no-color"],
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),
        "SCHEMATHESIS_HOOKS": "hooks",
        "CONFORMANCE_URL": address,
        "CONFORMANCE_TOKEN": TOKEN,
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS + 65)


@pytest.mark.timeout(SECONDS + 125)
def test_service_answers_as_it_describes_itself(tmp_path: Path) -> None:
    limits = {"ASSAY_RATE_LIMIT_PER_MINUTE": "0", "ASSAY_WEBHOOK_PRIVATE_NETWORKS": "true"}
    with serving(tmp_path, ASSAY_BOOTSTRAP_TOKEN=TOKEN, **limits) as process:
        ran = run_schemathesis(address_of(process), tmp_path)
        log = process.output()
    sys.stdout.write(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", ran.stdout)
    assert tested is not None, ran.stdout
    assert len(set(tested.groups())) == 1, "some operations were not tested"
    assert "fault of the service" not in log, log[max(0, log.find("fault of the service") - 200) :][:5000]
