"""The chart as the tests see it: rendered objects and what each process can read.

helm_python is young; it is used here and nowhere else, so that a change of it is met in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "helm" / "stanch"

PROCESSES = ("serve", "worker", "causal", "executor")

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """Rendered objects by the file they come from; a file that renders to nothing is not in it."""

    objects: dict[str, Manifest]

    def of_kind(self, kind: str) -> list[Manifest]:
        return [found for found in self.objects.values() if found["kind"] == kind]

    def pod(self, component: str) -> Manifest:
        """Pod spec of a process, or of the job `migrate`."""
        file = "migrate-job" if component == "migrate" else f"{component}-deployment"
        spec: Manifest = self.objects[file]["spec"]["template"]["spec"]
        return spec

    def container(self, component: str) -> Manifest:
        (only,) = self.pod(component)["containers"]
        assert isinstance(only, dict)
        return only

    def env(self, component: str) -> dict[str, str]:
        """Settings given as plain text."""
        return {entry["name"]: entry["value"] for entry in self.container(component)["env"] if "value" in entry}

    def readable_secrets(self, component: str) -> dict[str, set[str]]:
        """Secret name → keys given to the process as a file or a variable; "*" stands for every key of that Secret."""
        mounted = {mount["name"] for mount in self.container(component)["volumeMounts"]}
        found: dict[str, set[str]] = {}
        for volume in self.pod(component)["volumes"]:
            if "secret" in volume and volume["name"] in mounted:
                items = volume["secret"].get("items")
                keys = {item["key"] for item in items} if items else {"*"}
                found.setdefault(volume["secret"]["secretName"], set()).update(keys)
        for source in self.container(component).get("envFrom", []):
            found.setdefault(source["secretRef"]["name"], set()).add("*")
        for reference in self.secret_variables(component).values():
            found.setdefault(reference["name"], set()).add(reference["key"])
        return found

    def secret_variables(self, component: str) -> dict[str, dict[str, str]]:
        """Variable → {name, key} of the Secret it comes from."""
        env = self.container(component)["env"]
        return {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in env if "valueFrom" in entry}


def render(values: Manifest | None = None, *, name: str = "stanch") -> Release:
    """Render as `helm install` would in namespace `sre`.

    Raises:
        helm_python.HelmValuesError: the schema refuses the values.
        helm_python.HelmRenderError: a check in the templates refuses them.
    """
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values or {}, name=name, namespace="sre")
    objects: dict[str, Manifest] = {}
    for path, text in texts.items():
        if path.endswith(".yaml") and (document := yaml.load(text, Loader=yaml.CSafeLoader)) is not None:
            objects[Path(path).stem] = document
    return Release(objects)
