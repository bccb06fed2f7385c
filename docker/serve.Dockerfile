# syntax=docker/dockerfile:1
# The serving image for processors (x86-64 and 64-bit ARM), and the nginx before it. docs/serve.md has the rest.
#
#   docker compose -f docker/compose.yaml up --build                    both, as they are meant to run
#   docker build -f docker/serve.Dockerfile --target serve -t hey-jetson-serve .
#   docker run -p 8000:8000 -v $PWD/bundles/mine:/bundles/asr:ro -e HEYJETSON_API_KEYS=… hey-jetson-serve
#
# It knows neither torch nor NeMo. On a Jetson's GPU: docker/jetson.Dockerfile.

FROM python:3.11-slim-bookworm AS wheel
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY heyjetson /src/heyjetson
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check build==1.3.0 \
    && HEYJETSON_PURE=0 python -m build --wheel --outdir /dist /src

FROM python:3.11-slim-bookworm AS environment
COPY requirements.txt /tmp/constraints.txt
COPY --from=wheel /dist /dist
# requirements.txt only says which versions, and by which hashes they are known: nothing of it that the wheel does not ask for is installed.
RUN --mount=type=cache,target=/root/.cache/uv \
    pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && uv venv --python /usr/local/bin/python3.11 /opt/venv \
    && VIRTUAL_ENV=/opt/venv UV_LINK_MODE=copy uv pip install --compile-bytecode \
    --constraints /tmp/constraints.txt "$(ls /dist/heyjetson-*.whl)[cpu,server,lm,wyoming]"

FROM python:3.11-slim-bookworm AS serve
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Hey, Jetson! server" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision=$COMMIT
RUN useradd --create-home --uid 1000 heyjetson \
    && mkdir -p /bundles /data /state \
    && chown heyjetson /state
COPY --from=environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1
USER heyjetson
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
# Open to the network of its containers: nginx, or a published port, stands before it.
ENTRYPOINT ["heyjetson", "serve"]
CMD ["/bundles/asr", "--host", "0.0.0.0", "--state", "/state"]

FROM nginx:1.28-alpine AS nginx
COPY docker/nginx/site.conf.template /etc/nginx/templates/default.conf.template
COPY --from=wheel /src/heyjetson/server/static /srv/static
