"""Dockerfile, dev container and environment.yml name what is there, and the Python that was tested."""

import json
import re
import tomllib

import yaml
from places import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def extras_of(text: str) -> set[str]:
    return {extra for group in re.findall(r"-e '?\.\[([\w,]+)\]", text) for extra in group.split(",")}


def test_they_have_the_python_of_the_tested_versions():
    (tested,) = re.findall(r"Python (3\.\d+), Linux", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert f"FROM python:{tested}-" in DOCKERFILE
    assert f"python={tested}" in ENVIRONMENT["dependencies"]


def test_they_install_the_pinned_versions_with_what_grading_needs():
    (pip,) = [one["pip"] for one in ENVIRONMENT["dependencies"] if isinstance(one, dict)]
    installs = re.findall(r"pip install .*", DOCKERFILE)
    assert len(installs) == 2 and all("-c constraints.txt" in one for one in installs) and "-c constraints.txt" in pip
    for asked in (extras_of(DOCKERFILE), extras_of("\n".join(pip))):
        assert "grading" in asked <= set(EXTRAS)


def test_the_image_holds_the_clone_without_what_is_made_in_it():
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()}
    assert copied == {".", "requirements.txt", "constraints.txt"} and all((ROOT / name).exists() for name in copied)
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    assert {".venv*", "runs", "build", "my_notebooks"} <= ignored


def test_the_dev_container_is_this_image_with_the_clone_in_it():
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert (ROOT / ".devcontainer" / found["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    folder = found["workspaceFolder"]
    assert f"WORKDIR {folder}\n" in DOCKERFILE and f"target={folder}," in found["workspaceMount"]
    assert re.search(rf"useradd .* {found['remoteUser']} ", DOCKERFILE) and "USER 1000\n" in DOCKERFILE
