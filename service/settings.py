"""The only reader of the environment. Every name starts with STANCH_; secrets may come as STANCH_<NAME>_FILE."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "STANCH_"
SECRETS = frozenset(
    {
        "store_dsn",
        "broker_url",
        "alertmanager_tokens",
        "pagerduty_secrets",
        "pagerduty_api_token",
        "pagerduty_routing_key",
        "grafana_tokens",
        "generic_tokens",
        "changes_tokens",
        "slack_signing_secret",
        "slack_bot_token",
        "slack_app_token",
        "notice_secrets",
        "apprise_urls",
        "model_api_key",
        "signing_key",
        "verify_keys",
        "dev_login",
        "oidc_client_secret",
        "proxy_secret",
        "api_token",
    }
)


class UnusableSettings(ValueError):
    """A setting is missing or wrong; the message names it and never repeats a secret."""


class _SecretFiles(PydanticBaseSettingsSource):
    """STANCH_X_FILE names a file that holds STANCH_X."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 its interface
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if path is None or field_name not in SECRETS:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise UnusableSettings(f"{PREFIX}{field_name.upper()}_FILE: {error.strerror}: {path}") from error
        except UnicodeDecodeError:  # its chain would hold the secret's bytes
            raise UnusableSettings(f"{PREFIX}{field_name.upper()}_FILE: not UTF-8 text: {path}") from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """One process's settings. None or empty: not configured."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    store_dsn: SecretStr | None = None
    broker_url: SecretStr | None = None
    prometheus_url: str | None = None
    config: Path | None = None
    alertmanager_tokens: SecretStr | None = None
    alertmanager_url: str | None = None
    slack_signing_secret: SecretStr | None = None
    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_api_url: str = "https://slack.com/api/"
    slack_channel: str = ""
    notice_secrets: SecretStr | None = None
    apprise_urls: SecretStr | None = None
    grafana_tokens: SecretStr | None = None
    generic_tokens: SecretStr | None = None
    changes_tokens: SecretStr | None = None
    pagerduty_secrets: SecretStr | None = None
    pagerduty_api_token: SecretStr | None = None
    pagerduty_api_url: str = "https://api.pagerduty.com"
    pagerduty_from: str | None = None
    pagerduty_routing_key: SecretStr | None = None
    pagerduty_events_url: str = "https://events.pagerduty.com"
    public_url: str = "http://127.0.0.1:8741"
    signing_key: SecretStr | None = None
    verify_keys: str = ""
    api_tokens_file: Path | None = None
    api_token: SecretStr | None = None
    dev_login: SecretStr | None = None
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr | None = None
    oidc_person_claim: str = "email"
    proxy_addresses: str = ""
    proxy_secret: SecretStr | None = None
    data_dir: Path = Path("var")
    bind_host: str = "127.0.0.1"
    bind_port: int = Field(default=8741, ge=0, le=65535)
    log_level: str = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 its interface
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings

    def require(self, name: str) -> str:
        """The setting's value. Raises UnusableSettings naming it."""
        value = getattr(self, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not text:
            raise UnusableSettings(f"{PREFIX}{name.upper()} is not set (or {PREFIX}{name.upper()}_FILE)")
        return str(text)

    @cached_property
    def alertmanager_token_list(self) -> tuple[str, ...]:
        """Two may be valid during rotation. Empty: the hook is off."""
        return self.parts("alertmanager_tokens")

    def parts(self, name: str) -> tuple[str, ...]:
        """A comma-separated secret's parts, without blanks round them. Empty: not configured."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            return ()
        return tuple(filter(None, (part.strip() for part in value.get_secret_value().split(","))))


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Raises UnusableSettings with one clear line."""
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise UnusableSettings(f"{name}: {first['msg']}") from None


def refuse_signing_key(settings: Settings, process: str) -> None:
    """A worker or executor that could sign approvals would not need a human. Raises UnusableSettings."""
    if settings.signing_key is not None:
        raise UnusableSettings(
            f"the {process} can read {PREFIX}SIGNING_KEY and refuses to start: only `stanch serve` may hold it"
        )
