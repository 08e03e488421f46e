from __future__ import annotations

import base64
import ssl
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from connectors.notify import Apprise, Receiver, Undelivered, UnusableSecret, Webhooks, secrets_of, why_not

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
PUBLIC = Receiver("ops", "https://hooks.example.com:8443/stanch?x=1")
BODY = '{"type":"incident.opened"}'


def sending(answer: Any, *, secrets: tuple[str, ...] = (NEW, OLD), address: str = "93.184.216.34") -> Any:
    """(webhooks, what was asked)."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(answer, httpx.Response):
            return answer
        raise answer

    return Webhooks(secrets, httpx.MockTransport(handle), lambda _host, _port: [address]), asked


def now() -> datetime:
    return datetime.now(UTC)


def test_a_receiver_with_either_secret_of_a_rotation_verifies_it() -> None:
    webhooks, asked = sending(httpx.Response(204))
    webhooks.send(PUBLIC, "msg_1", now(), BODY)
    sent = asked[0]
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(sent.content, dict(sent.headers)) == {"type": "incident.opened"}
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(sent.content, dict(sent.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(sent.content + b" ", dict(sent.headers))
    assert sent.headers["webhook-id"] == "msg_1"


def test_the_address_that_was_judged_is_the_one_that_is_asked() -> None:
    webhooks, asked = sending(httpx.Response(200))
    webhooks.send(PUBLIC, "msg_1", now(), BODY)
    assert str(asked[0].url) == "https://93.184.216.34:8443/stanch?x=1"
    assert asked[0].headers["host"] == "hooks.example.com:8443"
    assert asked[0].extensions["sni_hostname"] == "hooks.example.com"


@pytest.mark.parametrize(
    ("answer", "permanent", "wait_s"),
    [
        (httpx.Response(500), False, None),
        (httpx.Response(429, headers={"retry-after": "77"}), False, 77.0),
        (httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), False, None),
        (httpx.Response(503, headers={"retry-after": "9" * 7}), False, 24 * 3600.0),
        (httpx.Response(404), False, None),
        (httpx.Response(410), True, None),
        (httpx.Response(302, headers={"location": "http://169.254.169.254/"}), False, None),
        (httpx.ConnectTimeout("slow"), False, None),
        (httpx.ConnectError("refused"), False, None),
        (httpx.RemoteProtocolError("rubbish"), False, None),
    ],
)
def test_whatever_is_not_2xx_was_not_taken(answer: Any, permanent: bool, wait_s: float | None) -> None:
    webhooks, asked = sending(answer)
    with pytest.raises(Undelivered) as raised:
        webhooks.send(PUBLIC, "msg_1", now(), BODY)
    assert (raised.value.permanent, raised.value.wait_s) == (permanent, wait_s)
    assert len(asked) == 1, "a redirect was followed"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.7", "192.168.1.1", "172.16.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1",  # noqa: S104 refused ones
     "::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
     "255.255.255.255", "100.100.100.200"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_asked(address: str) -> None:
    webhooks, asked = sending(httpx.Response(200), address=address)
    with pytest.raises(Undelivered) as raised:
        webhooks.send(PUBLIC, "msg_1", now(), BODY)
    assert raised.value.permanent
    assert asked == []


def test_one_bad_address_among_several_is_enough() -> None:
    webhooks = Webhooks(
        (NEW,), httpx.MockTransport(lambda _: httpx.Response(200)), lambda _h, _p: ["1.1.1.1", "10.0.0.1"]
    )
    with pytest.raises(Undelivered):
        webhooks.send(PUBLIC, "msg_1", now(), BODY)


def test_an_own_network_has_to_be_meant_and_metadata_never_is() -> None:
    assert why_not("10.0.0.1", allow_private=True) == ""
    assert why_not("127.0.0.1", allow_private=True) == ""
    for address in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "::ffff:169.254.169.254"):
        assert "metadata" in why_not(address, allow_private=True)


def test_plain_http_is_for_an_own_network() -> None:
    webhooks, asked = sending(httpx.Response(200), address="10.0.0.1")
    with pytest.raises(Undelivered, match="plain http"):
        webhooks.send(Receiver("a", "http://hooks.example.com/"), "msg_1", now(), BODY)
    webhooks.send(Receiver("a", "http://hooks.example.com/", allow_private=True), "msg_1", now(), BODY)
    assert str(asked[0].url) == "http://10.0.0.1/"


@pytest.mark.parametrize(
    "url", ["https:///x", "https://hooks.example.com:99999/", "https://" + "a" * 300 + ".example/"]
)
def test_an_unusable_address_is_said_and_nothing_else(url: str) -> None:
    with pytest.raises(Undelivered):
        Webhooks((NEW,)).send(Receiver("a", url), "msg_1", now(), BODY)


@pytest.mark.parametrize(
    "text", ["x", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%", f"{NEW},nonsense", NEW.removeprefix("whsec_")]
)
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UnusableSecret, match="openssl rand"):
        secrets_of(text)


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(UnusableSecret) as raised:
        secrets_of(f"{NEW},hunter2hunter2")
    assert "hunter2" not in str(raised.value)
    assert "secret 2" in str(raised.value)


def test_secrets_come_newest_first() -> None:
    assert secrets_of(f" {NEW} , {OLD} ,") == (NEW, OLD)


def test_nothing_of_a_secret_is_in_its_repr() -> None:
    assert NEW not in repr(Webhooks((NEW,)))


# apprise imports a module that Python 3.13 removed; where it is gone apprise does without.
their_imports = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@their_imports
def test_apprise_is_loaded_only_where_it_is_configured() -> None:
    assert "connectors.notify" in sys.modules
    with pytest.raises(ValueError, match="address 2"):
        Apprise(["json://127.0.0.1:1/x", "nonsense"])


@their_imports
def test_a_service_of_apprise_that_does_not_answer_is_undelivered() -> None:
    with pytest.raises(Undelivered):
        Apprise(["json://127.0.0.1:1/x"]).send("INC-1: opened", "text")


def test_over_a_real_socket_the_receiver_verifies_what_it_got_and_a_redirect_leads_nowhere() -> None:
    taken: list[tuple[str, dict[str, str], bytes]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append((self.path, dict(self.headers), body))
            self.send_response(302 if self.path == "/away" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        webhooks = Webhooks((NEW,))
        webhooks.send(Receiver("in", f"http://localhost:{server.server_port}/in", True), "msg_1", now(), BODY)
        with pytest.raises(Undelivered, match="redirects"):
            webhooks.send(Receiver("in", f"http://localhost:{server.server_port}/away", True), "msg_2", now(), BODY)
        with pytest.raises(Undelivered):
            webhooks.send(Receiver("in", f"http://localhost:{server.server_port}/in"), "msg_3", now(), BODY)
        server.shutdown()
    assert [path for path, _, _ in taken] == ["/in", "/away"]
    assert Webhook(NEW).verify(taken[0][2], taken[0][1]) == {"type": "incident.opened"}
    assert taken[0][1]["Host"] == f"localhost:{server.server_port}"


def test_certificates_are_checked() -> None:
    """Nothing here turns verification off: the context httpx makes by itself requires a certificate."""
    assert httpx.create_ssl_context().verify_mode is ssl.CERT_REQUIRED
