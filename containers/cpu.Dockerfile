# refrestore on a processor, about 1.7 GB:
#   docker build -f containers/cpu.Dockerfile -t refrestore .
FROM python:3.12-slim-bookworm AS built
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY requirements/bootstrap.txt requirements/run.txt requirements/cpu.txt /requirements/
# torch for CPUs has a place and hashes of its own: its version is the one that is pinned.
RUN python -m pip install --no-cache-dir --require-hashes -r /requirements/bootstrap.txt \
    && uv venv --no-cache /opt/refrestore \
    && torch="$(sed -nE "s/^(torch==[^ ]+) ; python_full_version >= '3.11'.*/\1/p" /requirements/run.txt)" \
    && uv pip install --no-cache --python /opt/refrestore/bin/python --torch-backend cpu "$torch" \
    && uv pip install --no-cache --python /opt/refrestore/bin/python --no-deps --require-hashes \
        -r /requirements/cpu.txt
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
ENV PATH=/opt/refrestore/bin:$PATH
USER 1000
WORKDIR /films
ENTRYPOINT ["refrestore"]
CMD ["--help"]
