#!/bin/sh
# Build the image `visage` with docker, podman or buildah, whichever works here: docker/image.sh [OPTION...]
#
# Options are those of the engine's `build`. Environment variables:
#   ENGINE   docker, podman or buildah (default: the first that works)
#   IMAGE    the name of the image (default: visage)
set -eu

cd "$(dirname "$0")/.."

# A client without its server is no engine.
if [ -z "${ENGINE:-}" ]; then
  for each in docker podman buildah; do
    if command -v "$each" >/dev/null && "$each" info >/dev/null 2>&1; then
      ENGINE=$each
      break
    fi
  done
fi
case ${ENGINE:-} in
  # podman and buildah leave out the health check in their own format.
  podman | buildah) set -- --format docker "$@" ;;
  docker) ;;
  "")
    echo "Found no container engine. Install docker, podman or buildah, and start docker's service." >&2
    exit 1
    ;;
  *)
    echo "ENGINE must be docker, podman or buildah, not $ENGINE." >&2
    exit 1
    ;;
esac
echo "Building with $ENGINE." >&2
exec "$ENGINE" build --tag "${IMAGE:-visage}" "$@" .
