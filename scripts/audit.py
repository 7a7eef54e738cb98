"""Whether what the tap depends on has known vulnerabilities, by pip-audit: `python -m scripts.audit`.

Three ends, told apart: there is one, or pip-audit failed (exit code 1); all is well (0); its database cannot be reached
from here, so that nothing is known (0, and it says so).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).resolve().parent.parent
UV = PROJECT / ".venv-uv" / "bin" / "uv"
PIP_AUDIT = "pip-audit==2.10.1"
NOT_FOUND = "not found on PyPI"
"""What pip-audit says of a package that the database does not answer for."""
UNREACHABLE = re.compile(
    r"connection ?error|connect(ion)? time|read timed out|max retries|failed to (connect|resolve)|name resolution"
    r"|network is unreachable|connection (refused|reset|aborted)|dns error|failed to fetch|proxy ?error",
    flags=re.IGNORECASE,
)


def main() -> int:
    """Run it on the locked dependencies.

    Returns:
        The exit code.
    """
    with TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        export = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--all-extras"]
        subprocess.run([UV, *export, "--output-file", requirements], cwd=PROJECT, check=True)
        audit = ["--progress-spinner", "off", "--disable-pip", "--require-hashes", "--format", "json"]
        done = subprocess.run(
            [UV, "tool", "run", "--quiet", PIP_AUDIT, *audit, "--requirement", requirements],
            capture_output=True,
            text=True,
            check=False,
        )
    text, code = verdict(done.stdout, done.stderr)
    print(text)
    return code


def verdict(stdout: str, stderr: str) -> tuple[str, int]:
    """What a run of pip-audit means.

    Args:
        stdout: Its report, JSON.
        stderr: What it said besides.

    Returns:
        What to say, and the exit code.
    """
    try:
        packages = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if UNREACHABLE.search(stderr):
            return "skipped: pip-audit or its database cannot be reached from here", 0
        return f"pip-audit failed:\n{stderr[-2000:]}", 1
    if found := [f"{one['name']} {one['version']}: {hole['id']}" for one in packages for hole in one.get("vulns", ())]:
        return "known vulnerabilities:\n" + "\n".join(found), 1
    left_out = {one["name"]: one["skip_reason"] for one in packages if one.get("skip_reason")}
    if left_out and len(left_out) == len(packages) and all(NOT_FOUND in reason for reason in left_out.values()):
        return f"skipped: the database cannot be reached from here, it knows none of {len(packages)} packages", 0
    if left_out or not packages:
        return f"not audited: {', '.join(sorted(left_out)) or 'anything'}", 1
    return f"{len(packages)} packages without known vulnerabilities", 0


if __name__ == "__main__":
    sys.exit(main())
