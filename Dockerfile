# One file, three images:
#
#   docker build --target writer .      receives webhooks
#   docker build --target replicator .  the sidecar; also what no target gives
#   docker build --target demo .        both, with a simulated Instagram and CRM
#
# It needs neither BuildKit nor a shell in the final image.
ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${GO_IMAGE} AS modules
# A module proxy of your own, where the default one is out of reach.
ARG GOPROXY
ARG GOSUMDB
# As variables they reach the stages below too; empty ones mean Go's default.
ENV GOPROXY=${GOPROXY} GOSUMDB=${GOSUMDB}
# SQLite needs cgo; the tags keep what would load code at run time out of a
# static binary.
ENV CGO_ENABLED=1 GOFLAGS="-trimpath -buildvcs=false -tags=sqlite_omit_load_extension,netgo,osusergo"
WORKDIR /src
COPY go.mod go.sum ./
# The slow part comes before the sources, so that changing them does not
# compile SQLite again.
RUN go build github.com/mattn/go-sqlite3 github.com/prometheus/exporter-toolkit/web

FROM modules AS build
COPY . .
ARG VERSION=devel
RUN go build -ldflags "-s -w -extldflags -static -X main.version=${VERSION}" -o /out/ ./cmd/writer ./cmd/replicator
# An empty volume takes its owner from the directory that it is mounted on.
RUN mkdir -p /out/data && chown 65532:65532 /out/data

FROM ${BASE_IMAGE} AS writer
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Sidestream writer" \
      org.opencontainers.image.description="Stores Instagram's webhooks in SQLite before it answers them." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/writer /usr/local/bin/writer
COPY --from=build --chown=65532:65532 /out/data /data
# Here the path data/messages.db of a configuration is on the volume.
WORKDIR /
USER 65532:65532
EXPOSE 8080 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/writer", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/writer"]

FROM ${BASE_IMAGE} AS replicator
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Sidestream replicator" \
      org.opencontainers.image.description="Carries Instagram messages from SQLite into a CRM's MySQL table, exactly once." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/replicator /usr/local/bin/replicator
COPY --from=build --chown=65532:65532 /out/data /data
WORKDIR /
USER 65532:65532
EXPOSE 9465
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/replicator", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/replicator"]

# The demo links an embedded MySQL server, which takes minutes to compile.
FROM modules AS modules-demo
RUN go build github.com/dolthub/go-mysql-server/server github.com/dolthub/go-mysql-server/memory

FROM modules-demo AS build-demo
COPY . .
ARG VERSION=devel
RUN go build -ldflags "-s -w -extldflags -static -X main.version=${VERSION}" -o /out/ ./cmd/demo

FROM ${BASE_IMAGE} AS demo
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Sidestream demo" \
      org.opencontainers.image.description="Both programs with a simulated Instagram and an embedded MySQL server." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build-demo /out/demo /usr/local/bin/demo
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/demo"]

# What a build without a target gives. The classic builder makes every stage
# above on its way here, BuildKit only those that are needed.
FROM replicator
