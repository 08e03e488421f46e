"""Values that tests render: the smallest, and one with everything switched on."""

from __future__ import annotations

from typing import Any

OBSERVE_ONE_TARGET: dict[str, Any] = {
    "prometheusUrl": "http://prometheus.monitoring:9090",
    "config": {
        "targets": {"shop": {"mode": "observe", "diagnose_dsn_file": "/etc/stanch/diagnose/shop"}},
    },
    "secrets": {"diagnose": "stanch-diagnose"},
    "executor": {"replicas": 0},
}

EVERYTHING: dict[str, Any] = {
    "image": {
        "repository": "registry.example/stanch",
        "digest": "sha256:" + "0123456789abcdef" * 4,
        "pullPolicy": "Always",
        "pullSecrets": ["registry"],
    },
    "prometheusUrl": "https://prometheus.example",
    "publicUrl": "https://stanch.example",
    "config": {
        "targets": {
            "shop": {
                "mode": "act",
                "diagnose_dsn_file": "/etc/stanch/diagnose/shop",
                "fix_dsn_file": "/etc/stanch/fix/shop-fix",
                "signal_dsn_file": "/etc/stanch/fix/shop-signal",
                "selector": {"job": "shop.*"},
            },
        },
        "graph": [["web", "shop"]],
    },
    "secrets": {"diagnose": "stanch-diagnose", "fix": "stanch-fix"},
    "serve": {
        "replicas": 3,
        "podDisruptionBudget": True,
        "secretKeys": ["PAGERDUTY_SECRETS", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "OIDC_CLIENT_SECRET"],
        "settings": {"SLACK_CHANNEL": "C0123456789", "OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "stanch"},
    },
    "service": {"type": "LoadBalancer", "port": 8080},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "stanch.example",
        "tlsSecret": "stanch-tls",
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
    },
    "data": {"persistent": True, "storageClass": "nfs", "size": "5Gi"},
    "networkPolicy": {
        "enabled": True,
        "serveFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
    },
}
