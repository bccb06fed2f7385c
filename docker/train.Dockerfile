# syntax=docker/dockerfile:1
# The training image: train.py, evaluate.py, export.py, sweep.py, compare.py and `wandb agent`, on one GPU or more.
#
#   docker build -f docker/train.Dockerfile --build-arg COMMIT=$(git rev-parse HEAD) -t hey-jetson-train .
#   docker run --gpus all --shm-size 8g -v $PWD/data:/work/data -v $PWD/runs:/work/runs hey-jetson-train
#
# The wheels of torch bring CUDA with them, so the base needs none: the host has the driver (NVIDIA Container Toolkit).
# What follows the image's name replaces `python train.py`. docs/scale.md has the rest.

FROM python:3.11-slim-bookworm AS environment
COPY requirements.txt /tmp/requirements.txt
# For processors only (2 GB instead of 8): --build-arg INDEX=https://download.pytorch.org/whl/cpu
ARG INDEX=""
RUN --mount=type=cache,target=/root/.cache/uv \
    pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && uv venv --python /usr/local/bin/python3.11 /opt/venv \
    && VIRTUAL_ENV=/opt/venv UV_LINK_MODE=copy uv pip install --compile-bytecode --requirements /tmp/requirements.txt \
    ${INDEX:+--extra-index-url $INDEX --index-strategy unsafe-best-match}

FROM python:3.11-slim-bookworm
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="Hey, Jetson! training" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision=$COMMIT
# The user's number owns what is written into mounted folders.
ARG USER_ID=1000
RUN useradd --create-home --uid $USER_ID trainer \
    && mkdir -p /work/data /work/runs /work/bundles \
    && chown -R trainer /work
COPY --from=environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/work \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    WANDB_ERROR_REPORTING=false \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /work
COPY --chown=trainer conf conf
COPY --chown=trainer custom_modules custom_modules
COPY --chown=trainer experiments experiments
COPY --chown=trainer heyjetson heyjetson
COPY --chown=trainer manifests manifests
COPY --chown=trainer benchmarks benchmarks
COPY --chown=trainer train.py evaluate.py export.py sweep.py sweep.yaml compare.py README.md LICENSE ./
COPY --chmod=755 docker/entrypoint.sh /usr/local/bin/entrypoint
USER trainer
ENTRYPOINT ["entrypoint"]
CMD ["python", "train.py"]
