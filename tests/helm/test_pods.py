"""What the processes are started as, and how little they may do."""

from __future__ import annotations

import pytest

from tests.helm.chart import PROCESSES, render
from tests.helm.examples import EVERYTHING, OBSERVE_ONE_TARGET

EVERY_POD = (*PROCESSES, "migrate")


@pytest.mark.parametrize("component", EVERY_POD)
def test_a_pod_runs_without_root_without_writing_its_own_files_and_without_a_capability(component: str) -> None:
    release = render(EVERYTHING)
    pod, container = release.pod(component)["securityContext"], release.container(component)["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["runAsGroup"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "initContainers" not in release.pod(component)


@pytest.mark.parametrize("component", EVERY_POD)
def test_no_pod_gets_a_token_of_the_cluster_or_the_variables_of_its_services(component: str) -> None:
    pod = render(EVERYTHING).pod(component)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("process", PROCESSES)
def test_each_process_has_an_account_of_its_own_without_a_token(process: str) -> None:
    release = render()
    account = release.objects[f"{process}-serviceaccount"]
    assert release.pod(process)["serviceAccountName"] == account["metadata"]["name"] == f"stanch-{process}"
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("component", "args"),
    [
        ("serve", ["serve"]),
        ("worker", ["worker", "--queue", "agent"]),
        ("causal", ["worker", "--queue", "causal"]),
        ("executor", ["executor"]),
        ("migrate", ["migrate"]),
    ],
)
def test_a_pod_starts_its_command_of_the_image(component: str, args: list[str]) -> None:
    container = render().container(component)
    assert container["args"] == args
    assert "command" not in container
    assert container["image"] == "stanch:0.1.0"


def test_a_digest_wins_over_a_tag() -> None:
    image = {"repository": "registry.example/stanch", "tag": "1", "digest": "sha256:" + "a" * 64}
    release = render({"image": image})
    assert {release.container(component)["image"] for component in EVERY_POD} == {
        "registry.example/stanch@sha256:" + "a" * 64
    }


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_reads_its_config_and_writes_only_to_its_data_and_tmp(process: str) -> None:
    release = render()
    mounts = {mount["mountPath"]: mount for mount in release.container(process)["volumeMounts"]}
    env = release.env(process)
    assert env["STANCH_CONFIG"] == "/etc/stanch/config/stanch.yaml"
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {"/tmp", env["STANCH_DATA_DIR"]}  # noqa: S108 - a path in the pod
    volumes = {volume["name"]: volume for volume in release.pod(process)["volumes"]}
    assert volumes["config"]["configMap"]["name"] == release.objects["config-configmap"]["metadata"]["name"]
    assert "emptyDir" in volumes["tmp"]


@pytest.mark.parametrize("process", PROCESSES)
def test_every_mount_has_its_volume_and_every_volume_is_mounted(process: str) -> None:
    for values in ({}, OBSERVE_ONE_TARGET, EVERYTHING):
        release = render(values)
        mounted = [mount["name"] for mount in release.container(process)["volumeMounts"]]
        assert sorted(mounted) == sorted(volume["name"] for volume in release.pod(process)["volumes"])


def test_serve_and_the_worker_share_the_persistent_data_and_the_others_keep_none() -> None:
    release = render(EVERYTHING)
    claim = release.objects["data-persistentvolumeclaim"]["metadata"]["name"]
    holders = {
        process
        for process in PROCESSES
        for volume in release.pod(process)["volumes"]
        if volume.get("persistentVolumeClaim") == {"claimName": claim}
    }
    assert holders == {"serve", "worker"}
    defaults = render()
    data = {process: v for process in PROCESSES for v in defaults.pod(process)["volumes"] if v["name"] == "data"}
    assert all("emptyDir" in volume for volume in data.values())


def test_serve_is_probed_for_life_and_for_readiness_apart() -> None:
    serve = render().container("serve")
    assert serve["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert serve["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert serve["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


@pytest.mark.parametrize("component", EVERY_POD)
def test_every_container_asks_for_memory_and_is_bounded_in_it(component: str) -> None:
    resources = render().container(component)["resources"]
    assert "memory" in resources["requests"]
    assert "memory" in resources["limits"]


def test_the_executor_is_given_its_own_time_to_end() -> None:
    assert render().pod("executor")["terminationGracePeriodSeconds"] == 90
    patient = render({"executor": {"terminationGracePeriodSeconds": 300}})
    assert patient.pod("executor")["terminationGracePeriodSeconds"] == 300


def test_the_migration_runs_before_install_and_upgrade_and_needs_no_object_of_the_chart() -> None:
    release = render(EVERYTHING)
    job, pod = release.objects["migrate-job"], release.pod("migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in pod
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == {"secret", "emptyDir"}


def test_the_service_the_budget_and_the_policies_select_pods_that_exist() -> None:
    release = render(EVERYTHING)
    pods = {process: release.objects[f"{process}-deployment"]["spec"]["template"] for process in PROCESSES}

    def selected(selector: dict[str, str]) -> set[str]:
        return {p for p, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()}

    assert selected(release.objects["serve-service"]["spec"]["selector"]) == {"serve"}
    assert selected(release.objects["serve-poddisruptionbudget"]["spec"]["selector"]["matchLabels"]) == {"serve"}
    for process in PROCESSES:
        policy = release.objects[f"{process}-networkpolicy"]["spec"]
        assert selected(policy["podSelector"]["matchLabels"]) == {process}
        assert bool(policy["ingress"]) == (process == "serve")
        deployment = release.objects[f"{process}-deployment"]["spec"]
        assert selected(deployment["selector"]["matchLabels"]) == {process}


def test_the_service_and_the_policy_open_the_port_that_serve_is_told_to_listen_on() -> None:
    release = render(EVERYTHING)
    serve = release.container("serve")
    (port,) = serve["ports"]
    assert release.env("serve")["STANCH_BIND_PORT"] == str(port["containerPort"])
    assert release.env("serve")["STANCH_BIND_HOST"] == "0.0.0.0"  # noqa: S104 - in the pod, behind its Service
    assert [found["targetPort"] for found in release.objects["serve-service"]["spec"]["ports"]] == [port["name"]]
    (rule,) = release.objects["serve-networkpolicy"]["spec"]["ingress"]
    assert [found["port"] for found in rule["ports"]] == [port["name"]]


def test_the_ingress_leads_to_the_service() -> None:
    release = render(EVERYTHING)
    (rule,) = release.objects["serve-ingress"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = release.objects["serve-service"]
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]
    assert rule["host"] in release.objects["serve-ingress"]["spec"]["tls"][0]["hosts"]
