# SeaweedFS with a data folder that an ordinary user may write. From the project's folder:
#   docker build -f infra/docker/seaweedfs.Dockerfile -t evergreen-seaweedfs .
ARG BASE=chrislusf/seaweedfs:4.48
FROM ${BASE}
USER root
RUN install -d -o 10001 -g 10001 /var/lib/seaweedfs
USER 10001
