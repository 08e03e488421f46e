"""What the ingest bench is measured beside: FastAPI, a pool, one INSERT and its commit a request, and nothing else."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI, Request, Response
from psycopg_pool import AsyncConnectionPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLE = "CREATE TABLE IF NOT EXISTS bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL)"
CONNECTIONS = 8


def application(dsn: str) -> FastAPI:
    pool = AsyncConnectionPool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False, kwargs={"autocommit": True})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.open(wait=True)
        async with pool.connection() as connection:
            await connection.execute(TABLE)
        yield
        await pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/accept")
    async def accept(request: Request) -> Response:
        body = await request.body()
        async with pool.connection() as connection:
            await connection.execute("INSERT INTO bare (body) VALUES (%s)", (body,), prepare=True)
        return Response(status_code=202)

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False
    )
