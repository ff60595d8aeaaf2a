# Airflow, MLflow and every stage of ours, from one lock: what a task imports is what the tests ran with. From the project's folder:
#   docker build -f infra/docker/airflow.Dockerfile -t evergreen-airflow .
# docker-compose.yaml runs it as api-server, scheduler, dag-processor, triggerer, Celery workers, MLflow and for commands by hand.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
COPY requirements.txt /
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir uv==0.13.9 \
 && /opt/uv/bin/uv venv --quiet /opt/evergreen/venv \
 && VIRTUAL_ENV=/opt/evergreen/venv /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --require-hashes -r /requirements.txt

FROM ${BASE}
# the folders are made here so that volumes mounted on them belong to this user
RUN groupadd --gid 10001 evergreen \
 && useradd --system --uid 10001 --gid 10001 --create-home --home-dir /var/lib/evergreen evergreen \
 && install -d -o evergreen -g evergreen /var/lib/evergreen/airflow /var/lib/evergreen/logs /var/lib/evergreen/cache
COPY --from=packages /opt/evergreen/venv /opt/evergreen/venv
COPY infra/docker/enter /usr/local/bin/enter
COPY infra/compose /opt/evergreen/infra/compose
COPY expectations /opt/evergreen/expectations
COPY plugins /opt/evergreen/plugins
COPY dags /opt/evergreen/dags
COPY ml /opt/evergreen/ml
RUN /opt/evergreen/venv/bin/python -m compileall -q /opt/evergreen/ml /opt/evergreen/plugins
WORKDIR /opt/evergreen
USER 10001
# named, so that a volume which Fargate mounts here belongs to this user
VOLUME /var/lib/evergreen
ENV PATH=/opt/evergreen/venv/bin:$PATH PYTHONPATH=/opt/evergreen:/opt/evergreen/plugins PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/var/lib/evergreen/airflow EVERGREEN_CACHE=/var/lib/evergreen/cache \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/evergreen/dags AIRFLOW__CORE__PLUGINS_FOLDER=/opt/evergreen/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__LOGGING__BASE_LOG_FOLDER=/var/lib/evergreen/logs \
    DO_NOT_TRACK=1 SCARF_ANALYTICS=false GX_ANALYTICS_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true MPLBACKEND=Agg TF_CPP_MIN_LOG_LEVEL=2
ENTRYPOINT ["enter"]
CMD ["airflow", "version"]
