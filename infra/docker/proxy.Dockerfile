# Caddy with our sites and a folder for certificates that an ordinary user may write. From the project's folder:
#   docker build -f infra/docker/proxy.Dockerfile -t evergreen-proxy .
ARG BASE=caddy:2.11-alpine
FROM ${BASE}
USER root
RUN install -d -o 10001 -g 10001 /var/lib/caddy
COPY infra/caddy/Caddyfile /etc/caddy/Caddyfile
USER 10001
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
