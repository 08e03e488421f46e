from __future__ import annotations

import bootstrap


def test_pips_settings_are_handed_to_uv() -> None:
    settings = {
        "index-url": "https://a.example/simple",
        "extra-index-url": "https://b.example/simple file:///c",
        "find-links": "/wheels",
        "cert": "/etc/ca.pem",
        "proxy": "http://proxy.example:3128",
        "default-timeout": "60",
    }
    options = bootstrap.uv_options(settings)
    assert options is not None
    arguments, environment = options
    assert arguments == [
        *("--index-strategy", "unsafe-best-match"),
        *("--default-index", "https://a.example/simple"),
        *("--index", "https://b.example/simple"),
        *("--index", "file:///c"),
        *("--find-links", "/wheels"),
    ]
    assert environment == {"SSL_CERT_FILE": "/etc/ca.pem", "ALL_PROXY": "http://proxy.example:3128"}


def test_a_setting_that_uv_cannot_follow_means_pip() -> None:
    assert bootstrap.uv_options({"client-cert": "/me.pem"}) is None


def test_no_index_counts_only_when_it_is_on() -> None:
    on, off = bootstrap.uv_options({"no-index": "true"}), bootstrap.uv_options({"no-index": "false"})
    assert on is not None
    assert off is not None
    assert "--no-index" in on[0]
    assert "--no-index" not in off[0]


def test_the_last_error_is_the_telling_line() -> None:
    assert bootstrap.telling_line(["Collecting x", "ERROR: hash mismatch for x", "[notice] new pip"]).startswith(
        "ERROR: hash"
    )
    assert bootstrap.telling_line([]) == "it said nothing"


def test_an_index_out_of_reach_is_called_that() -> None:
    lines = ["WARNING: Retrying after NewConnectionError: refused", "ERROR: No matching distribution found for x==1"]
    assert bootstrap.telling_line(lines).startswith("the package index cannot be reached")


def test_every_pinned_file_is_pinned_by_hash_and_names_no_index() -> None:
    files = [*bootstrap.REQUIREMENTS.values(), bootstrap.ROOT / "requirements-bootstrap.txt"]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.count("--hash=sha256:") >= text.count("==") > 0
        assert "://" not in text
        assert "--index" not in text
