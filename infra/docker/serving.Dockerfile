# The prediction service: no Airflow, no TensorFlow. Build from the project's folder:
#   docker build -f infra/docker/serving.Dockerfile -t evergreen-serving .
# Run it with EVERGREEN_STORE, EVERGREEN_DATABASE_URL and a volume on /var/lib/evergreen, which holds its own copy of what serves
# and rows of the request log on their way. It starts once a key was made (python -m ml keys new) or EVERGREEN_OIDC_ISSUER is set.
# A setting with a secret may be given as NAME_FILE=/run/secrets/name.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
COPY requirements-serving.txt /
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir uv==0.13.9 \
 && /opt/uv/bin/uv venv --quiet /opt/evergreen/venv \
 && VIRTUAL_ENV=/opt/evergreen/venv /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --require-hashes \
    -r /requirements-serving.txt

FROM ${BASE}
RUN groupadd --gid 10001 evergreen \
 && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /var/lib/evergreen evergreen
COPY --from=packages /opt/evergreen/venv /opt/evergreen/venv
COPY infra/docker/enter /usr/local/bin/enter
COPY ml /opt/evergreen/ml
RUN /opt/evergreen/venv/bin/python -m compileall -q /opt/evergreen/ml
WORKDIR /opt/evergreen
USER 10001
VOLUME /var/lib/evergreen
ENV PATH=/opt/evergreen/venv/bin:$PATH PYTHONUNBUFFERED=1 EVERGREEN_CACHE=/var/lib/evergreen/cache \
    EVERGREEN_SERVING_STATE=/var/lib/evergreen/serving
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
ENTRYPOINT ["enter"]
CMD ["python", "-m", "ml.serving", "--host", "0.0.0.0", "--port", "8000"]
