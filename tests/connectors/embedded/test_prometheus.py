from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from connectors.embedded.alertmanager import EmbeddedAlertmanager, Webhook
from connectors.embedded.process import ProcessGroup, ServerFailed, free_port
from connectors.embedded.prometheus import EmbeddedPrometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

# Kept between runs: where the machine has neither program, Debian's packages are fetched into it once.
CACHE = Path(__file__).resolve().parents[3] / ".cache"


def quiet(_: str) -> None:
    return


@contextmanager
def webhook_receiver() -> Iterator[tuple[str, Queue[tuple[str | None, Any]]]]:
    """Its URL, and what arrives there: (Authorization, body)."""
    received: Queue[tuple[str | None, Any]] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.put((self.headers["Authorization"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()


def alertmanager(group: ProcessGroup, place: Path, url: str, **route: Any) -> EmbeddedAlertmanager:
    return EmbeddedAlertmanager(
        group,
        "alertmanager",
        place / "alertmanager",
        log_path=place / "alertmanager.log",
        cache_dir=CACHE,
        progress=quiet,
        webhook=Webhook(url, token="t0ken"),
        route={"group_by": ["alertname"], "group_wait": "0s", "group_interval": "5s", "repeat_interval": "1h", **route},
    )


def prometheus(group: ProcessGroup, place: Path, alertmanagers: list[str], expr: str) -> EmbeddedPrometheus:
    port = free_port()
    rule = {"alert": "ItScrapes", "expr": expr, "labels": {"severity": "page"}}
    return EmbeddedPrometheus(
        group,
        "prometheus",
        place / "prometheus",
        log_path=place / "prometheus.log",
        cache_dir=CACHE,
        progress=quiet,
        scrape_configs=[{"job_name": "itself", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
        rule_groups=[{"name": "rules", "rules": [rule]}],
        alertmanagers=alertmanagers,
        global_config={"scrape_interval": "1s", "evaluation_interval": "1s"},
        port=port,
    )


def test_a_true_condition_reaches_the_webhook_with_its_bearer_token(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group, webhook_receiver() as (url, received):
        sender = alertmanager(group, tmp_path, url)
        sender.start()
        prometheus(group, tmp_path, [sender.address], 'up{job="itself"} == 1').start()
        authorization, body = received.get(timeout=60)
        assert authorization == "Bearer t0ken"
        assert body["version"] == "4"
        assert body["alerts"][0]["labels"]["alertname"] == "ItScrapes"
        token = tmp_path / "alertmanager" / "webhook.token"
        assert token.stat().st_mode & 0o777 == 0o600
        assert "t0ken" not in (tmp_path / "alertmanager" / "alertmanager.yaml").read_text()
        sender.stop()
        sender.remove()
        assert not token.exists()


def test_a_rule_that_does_not_parse_is_one_line_with_prometheuss_own_words(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        with pytest.raises(ServerFailed) as failed:
            prometheus(group, tmp_path, [], "sum(").start()
        assert str(failed.value).startswith("prometheus did not start")
        assert "\n" not in str(failed.value)
        assert any("could not parse expression" in line for line in failed.value.last_lines)
        assert group.children() == ()


def test_a_route_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path / "run", quiet) as group:
        with pytest.raises(ServerFailed, match="alertmanager did not start"):
            alertmanager(group, tmp_path, "http://127.0.0.1:1/", group_wait="soon").start()
        assert group.children() == ()
