"""Compose, Kubernetes and systemd call the same things by the same names, which programs know."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from schema.roles import ROLES, login_name
from services.settings import CONFIG_VARIABLE, Settings, file_variables, variable_of
from tests.deployment.manifests import KUBECTL, OVERLAYS, named, pods
from tests.deployment.test_systemd import UNITS
from tests.deployment.topology import our_services, topology
from tests.servers.env import CHECKOUT
from tests.unit.docs.test_docs_commands import parse

DEPLOY = CHECKOUT / "deploy"
SETTINGS = DEPLOY / "settings" / "tianyu.toml"
URLS = ("TIANYU_DATABASE_URL", "TIANYU_BROKER_URL")
ROLE_OF = {  # of each program, wherever it runs
    "init": "owner",
    "manager": "manager",
    "consumer": "consumer",
    "consumer-cpu": "consumer",
    "consumer-memory": "consumer",
    "operator": "operator",
    "tianyu": "operator",
    "watch": "operator",
    "retention": "operator",
    "web": "web",
}
WITHOUT_BROKER = ("init", "retention", "web")

Found = tuple[str, str, dict[str, str], list[str], set[str]]  # where, program, variables, command, secrets


def compose() -> Iterator[Found]:
    for name, service in our_services().items():
        secrets = {one["source"] for one in service["secrets"]}
        yield "compose", name, service["environment"], service.get("command") or [], secrets


def kubernetes() -> Iterator[Found]:
    for overlay in OVERLAYS if KUBECTL else ():
        for name, pod in pods(overlay).items():
            [container] = pod["containers"]
            environment = {one["name"]: one["value"] for one in container["env"]}
            keys = {
                item["key"]
                for volume in pod["volumes"]
                if volume.get("secret", {}).get("secretName") == "tianyu-passwords"
                for item in volume["secret"]["items"]
            }
            yield overlay, name, environment, container["args"] if "command" not in container else [], keys


def systemd() -> Iterator[Found]:
    for unit in UNITS:
        if unit.suffix == ".timer":  # starts the service of its name
            continue
        source = unit.read_text()
        lines = re.findall(r"^Environment=(TIANYU_\w+)=(\S+)$", source, re.M)
        [command] = re.findall(r"^ExecStart=/opt/tianyu/bin/tianyu (.+)$", source, re.M)
        secrets = set(re.findall(r"^LoadCredential=\w+:/etc/tianyu/secrets/(\w+)$", source, re.M))
        words = command.replace("${CONCURRENCY}", "1").replace("%i", "cpu").split()
        yield "systemd", re.sub(r"tianyu-|@?\.service", "", unit.name), dict(lines), words, secrets


PROGRAMS = [*compose(), *kubernetes(), *systemd()]
IDS = [f"{where} {name}" for where, name, *_ in PROGRAMS]


@pytest.mark.parametrize("program", PROGRAMS, ids=IDS)
def test_variables_commands_and_secrets_are_known(program: Found) -> None:
    _, name, environment, command, secrets = program
    role = ROLE_OF[name]
    known = {variable_of(setting) for setting in Settings.model_fields} | file_variables() | {CONFIG_VARIABLE}
    assert {variable for variable in environment if variable.startswith("TIANYU_")} <= known
    if command:
        parse(command)
    assert environment["TIANYU_DATABASE_URL"] == f"mysql+pymysql://{login_name('tianyu', role)}@mysql:3306/tianyu"
    own = {f"database_{role}"}
    if role == "owner":
        own |= {f"database_{one.name}" for one in ROLES}
    if name not in WITHOUT_BROKER:
        assert environment["TIANYU_BROKER_URL"] == f"amqp://tianyu_{role}@rabbitmq:5672/tianyu"
        own.add(f"broker_{role}")
    if name == "web":
        own.add("serve_token")
    assert secrets == own, "a program is given its own passwords and no others"


def test_secrets_are_those_that_are_made() -> None:
    script = (DEPLOY / "make-secrets.sh").read_text()
    made = set(
        re.findall(
            r"\b(?:database|broker|serve)_\w+|\bgrafana\b", script.partition("for name in")[2].partition("; do")[0]
        )
    )
    assert made == topology()["secrets"].keys()


def test_the_settings_file_is_understood_and_its_groups_have_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIANYU_CATALOG", raising=False)
    values: dict[str, Any] = tomllib.loads(SETTINGS.read_text())
    settings = Settings(**values)
    groups = {word for _, name, _, command, _ in PROGRAMS if "consumer" in name for word in command[2:3]}
    assert set(settings.all_groups()) == groups - {"%i"}
    for scaled in named("cluster", "ScaledObject").values() if KUBECTL else ():
        assert f"s.name = '{settings.site}'" in scaled["spec"]["triggers"][0]["metadata"]["query"]
