"""Changes: what a CI job, Argo CD or a curl line says was deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from connectors.json_document import UnusablePayload, clean, load

if TYPE_CHECKING:
    from datetime import datetime

MAX_TEXT_CHARS = 1_000
MAX_NAME_CHARS = 200
MAX_CHANGES = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """at: None means when it was told."""

    service: str
    version: str | None
    summary: str
    at: datetime | None


class _Plain(BaseModel):
    model_config = ConfigDict(extra="ignore")

    service: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    version: str | None = Field(default=None, max_length=MAX_NAME_CHARS)
    summary: str = Field(default="deploy", max_length=MAX_TEXT_CHARS)
    at: AwareDatetime | None = None


class _Metadata(BaseModel):
    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    labels: dict[str, str] = {}


class _Sync(BaseModel):
    status: str = ""
    revision: str | None = None


class _Summary(BaseModel):
    images: list[str] = []


class _Operation(BaseModel):
    phase: str = ""
    finished_at: AwareDatetime | None = Field(default=None, alias="finishedAt")


class _Status(BaseModel):
    sync: _Sync = _Sync()
    summary: _Summary = _Summary()
    operation: _Operation = Field(default=_Operation(), alias="operationState")


class _Application(BaseModel):
    """Argo CD's Application, as `{{toJson .app}}` renders it in a notification template."""

    metadata: _Metadata
    status: _Status = _Status()


def read(body: bytes) -> tuple[Change, ...]:
    """One change, a list of them, or {"app": Argo CD's application}. Raises UnusablePayload: all of it or nothing."""
    document = load(body)
    rows = document if isinstance(document, list) else [document]
    if len(rows) > MAX_CHANGES:
        raise UnusablePayload(f"{len(rows)} changes at once, more than {MAX_CHANGES}")
    try:
        return tuple(_argo(row["app"]) if isinstance(row, dict) and "app" in row else _plain(row) for row in rows)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnusablePayload(f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:400]) from error


def _plain(row: Any) -> Change:
    one = _Plain.model_validate(row)
    version = clean(one.version, MAX_NAME_CHARS) if one.version else None
    return Change(clean(one.service, MAX_NAME_CHARS), version, clean(one.summary, MAX_TEXT_CHARS), one.at)


def _argo(app: Any) -> Change:
    """The service is the label app.kubernetes.io/name, else the application's name."""
    one = _Application.model_validate(app)
    service = one.metadata.labels.get("app.kubernetes.io/name") or one.metadata.name
    phase = one.status.operation.phase or one.status.sync.status or "changed"
    images = ", ".join(one.status.summary.images[:5])
    said = f"Argo CD {one.metadata.name}: {phase}" + (f"; {images}" if images else "")
    revision = one.status.sync.revision
    return Change(
        clean(service, MAX_NAME_CHARS),
        clean(revision, MAX_NAME_CHARS) if revision else None,
        clean(said, MAX_TEXT_CHARS),
        one.status.operation.finished_at,
    )
