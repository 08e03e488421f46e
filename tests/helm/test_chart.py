"""The chart renders objects that Kubernetes takes, and refuses values it does not know."""

from __future__ import annotations

import json
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from tests.helm.chart import CHART, PROCESSES, Manifest, Release, render
from tests.helm.examples import EVERYTHING, OBSERVE_ONE_TARGET

# The oldest that Chart.yaml allows, and the newest that the validator ships.
KUBERNETES_VERSIONS = ("1.25", "1.37")

VARIANTS: dict[str, Manifest] = {
    "defaults": {},
    "observe one target": OBSERVE_ONE_TARGET,
    "everything": EVERYTHING,
    "ingress without TLS": {"ingress": {"enabled": True, "host": "stanch.example"}},
    "claim of the default class": {"data": {"persistent": True, "accessMode": "ReadWriteOnce"}},
    "network policy open to any peer": {"networkPolicy": {"enabled": True}},
    "no migration": {"migrate": {"enabled": False}},
}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_object_of_every_variant_is_valid(version: str) -> None:
    objects = [found for values in VARIANTS.values() for found in render(values).objects.values()]
    # Most objects are the same in all variants, and the validator reads its schemas anew for each.
    distinct = {json.dumps(found, sort_keys=True): found for found in objects}
    assert len(distinct) > len(PROCESSES)
    for found in distinct.values():
        assert kubernetes_validate.validate(found, version, strict=True) == version


def test_the_validation_would_see_a_misspelt_field() -> None:
    service = render().objects["serve-service"]
    service["spec"]["slector"] = service["spec"].pop("selector")
    with pytest.raises(kubernetes_validate.ValidationError, match="slector"):
        kubernetes_validate.validate(service, KUBERNETES_VERSIONS[-1], strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_lint_has_nothing_to_say_but_that_there_is_no_icon(variant: str) -> None:
    report = helm_python.lint(CHART, VARIANTS[variant], strict=True)
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


def test_the_defaults_render_four_processes_a_service_and_the_migration() -> None:
    assert set(render().objects) == {
        *(f"{process}-deployment" for process in PROCESSES),
        *(f"{process}-serviceaccount" for process in PROCESSES),
        "config-configmap",
        "migrate-job",
        "serve-service",
    }


def test_with_everything_on_each_file_renders_one_object() -> None:
    files = {path.stem for path in (CHART / "templates").glob("*.yaml")}
    assert set(render(EVERYTHING).objects) == files


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_file_is_named_after_its_component_and_kind(variant: str) -> None:
    for file, found in render(VARIANTS[variant]).objects.items():
        component = found["metadata"]["labels"]["app.kubernetes.io/component"]
        assert file == f"{component}-{found['kind'].lower()}"
        assert found["metadata"]["name"] == f"stanch-{component}"


@pytest.mark.parametrize("name", ["stanch", "my-stanch", "prod", "a" * 53])
def test_two_releases_share_no_name(name: str) -> None:
    mine, other = render(EVERYTHING, name=name), render(EVERYTHING, name="other")
    names = {(found["kind"], found["metadata"]["name"]) for found in mine.objects.values()}
    assert names.isdisjoint({(found["kind"], found["metadata"]["name"]) for found in other.objects.values()})
    assert max(len(found) for _, found in names) <= 63


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"slak": {"enabled": True}}, "'slak'"),
        ({"serve": {"replica": 2}}, "'replica'"),
        ({"serve": {"replicas": "two"}}, "/serve/replicas"),
        ({"worker": {"resources": {"limit": {"memory": "1Gi"}}}}, "'limit'"),
        ({"causal": {"resources": {"limits": {"memory": "1 Gb"}}}}, "/causal/resources/limits/memory"),
        ({"secrets": {"executor": ""}}, "/secrets/executor"),
        ({"secrets": {"signingKey": "c2VjcmV0"}}, "'signingKey'"),
        ({"prometheusUrl": "prometheus:9090"}, "/prometheusUrl"),
        ({"prometheusUrl": "http://me:hunter2@prometheus:9090"}, "/prometheusUrl"),
        ({"executor": {"terminationGracePeriodSeconds": 0}}, "/executor/terminationGracePeriodSeconds"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
    ],
)
def test_the_schema_refuses_what_it_does_not_know_and_says_where(values: dict[str, Any], told: str) -> None:
    with pytest.raises(helm_python.HelmValuesError) as refused:
        render(values)
    assert told in str(refused.value)


def test_an_ingress_without_a_host_is_refused() -> None:
    with pytest.raises(helm_python.HelmRenderError, match="needs ingress"):
        render({"ingress": {"enabled": True}})


def schema_paths(schema: dict[str, Any], defs: dict[str, Any], prefix: str = "") -> set[str]:
    """Paths of the closed part of the schema; an open object counts as one value."""
    node = defs[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    if "properties" not in node:
        return {prefix}
    assert node["additionalProperties"] is False, prefix
    return set().union(*(schema_paths(sub, defs, f"{prefix}.{key}") for key, sub in node["properties"].items()))


def value_paths(value: object, prefix: str = "") -> set[str]:
    if not isinstance(value, dict) or not value:
        return {prefix}
    return set().union(*(value_paths(sub, f"{prefix}.{key}") for key, sub in value.items()))


def test_schema_and_values_name_the_same_things() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    only_in_schema = schema_paths(schema, schema["$defs"]) - value_paths(values)
    assert value_paths(values) <= schema_paths(schema, schema["$defs"])
    unset_resources = {path for path in only_in_schema if ".resources." in path}
    assert only_in_schema - unset_resources == {".global"}


def test_a_change_of_the_config_starts_new_pods_and_a_change_of_replicas_does_not() -> None:
    def checksum(release: Release, process: str) -> str:
        found = release.objects[f"{process}-deployment"]["spec"]["template"]["metadata"]["annotations"]
        return str(found["checksum/config"])

    before, same, after = render(), render({"worker": {"replicas": 7}}), render({"config": {"targets": []}})
    for process in PROCESSES:
        assert checksum(before, process) == checksum(same, process)
        assert checksum(before, process) != checksum(after, process)
