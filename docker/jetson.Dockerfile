# syntax=docker/dockerfile:1
# The serving image for a Jetson with JetPack 6: CUDA, TensorRT and its Python module come from NVIDIA's base image.
#
#   docker build -f docker/jetson.Dockerfile -t hey-jetson-serve .        on the Jetson itself
#   docker run --runtime nvidia -v $PWD/bundles:/bundles -v heyjetson-engines:/home/heyjetson/.cache \
#       --entrypoint heyjetson hey-jetson-serve build-engine /bundles/asr --fp16          once, minutes
#   docker run --runtime nvidia -p 8000:8000 -v $PWD/bundles:/bundles:ro -v heyjetson-engines:/home/heyjetson/.cache hey-jetson-serve
#
# The base's L4T release must be the host's (`cat /etc/nv_tegra_release`): r36.4.0 is JetPack 6.1 and 6.2.

ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
FROM python:3.11-slim-bookworm AS wheel
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY heyjetson /src/heyjetson
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check build==1.3.0 \
    && HEYJETSON_PURE=0 python -m build --wheel --outdir /dist /src

FROM ${BASE}
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Hey, Jetson! server for Jetson" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision=$COMMIT
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3 python3-venv python3-libnvinfer \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt /tmp/constraints.txt
COPY --from=wheel /dist /dist
# The environment sees the base's `tensorrt`. onnxruntime is the one for processors: heyjetson runs engines without it.
# uv, as pip wants hashes for all where constraints have some, and our own wheel has none.
RUN --mount=type=cache,target=/root/.cache/uv \
    python3 -m venv --system-site-packages /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && VIRTUAL_ENV=/opt/venv UV_LINK_MODE=copy /opt/venv/bin/uv pip install \
    --constraints /tmp/constraints.txt "$(ls /dist/heyjetson-*.whl)[cpu,server,lm,wyoming]" \
    && /opt/venv/bin/python -c "import tensorrt; print('TensorRT', tensorrt.__version__)"
# The user's groups reach the GPU's devices.
RUN useradd --create-home --uid 1000 --groups video heyjetson \
    && mkdir -p /bundles /data /state /home/heyjetson/.cache \
    && chown heyjetson /state /home/heyjetson/.cache
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1
USER heyjetson
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["heyjetson", "serve"]
CMD ["/bundles/asr", "--host", "0.0.0.0", "--state", "/state"]
