# refrestore on NVIDIA cards, about 7 GB; CUDA comes with torch, the driver from the host:
#   docker build -f containers/cuda.Dockerfile -t refrestore:cuda .
#   docker run --rm --gpus all -v "$PWD:/films" refrestore:cuda run film.mp4 -o restored.mp4
FROM python:3.12-slim-bookworm AS built
COPY requirements/bootstrap.txt requirements/run.txt /requirements/
RUN python -m pip install --no-cache-dir --require-hashes -r /requirements/bootstrap.txt \
    && uv venv --no-cache /opt/refrestore \
    && uv pip install --no-cache --python /opt/refrestore/bin/python --no-deps --require-hashes \
        -r /requirements/run.txt
COPY dist/refrestore-*.whl /dist/
RUN uv pip install --no-cache --python /opt/refrestore/bin/python --no-deps /dist/refrestore-*.whl

FROM python:3.12-slim-bookworm
# What OpenCV's own libraries ask of the system.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 refrestore
COPY --from=built /opt/refrestore /opt/refrestore
ENV PATH=/opt/refrestore/bin:$PATH \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 1000
WORKDIR /films
ENTRYPOINT ["refrestore"]
CMD ["--help"]
