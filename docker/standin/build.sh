#!/bin/sh
# Build the top-level Dockerfile on the stand-in, without a registry: docker/standin/build.sh DIRECTORY [OPTION...]
#
# DIRECTORY is that of docker/standin/make.sh, which must have finished. Options go to `buildah build`. The Dockerfile
# and its context are those of every other build: only the image of its first FROM is another, and apk finds its
# packages in DIRECTORY/repository. pip takes packages from PyPI. ARCH is that of make.sh. The finished image is named
# localhost/visage, or as IMAGE says.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "${1:?usage: docker/standin/build.sh DIRECTORY [OPTION...]}" && pwd)
shift

case ${ARCH:-x86_64} in
  x86_64) platform=amd64 ;;
  aarch64) platform=arm64 ;;
esac
base=localhost/python:stand-in-$platform
buildah inspect "$base" >/dev/null 2>&1 || buildah pull --quiet "docker-archive:$work/image.tar"

# The compiler's cache lets a second build skip what has not changed. pip must trust what this machine trusts.
mkdir -p "$work/buildcache"
set -- --platform "linux/$platform" --from "$base" --pull=never --isolation chroot --layers \
  --volume "$work/repository:/repository:ro" --volume "$work/buildcache:/var/cache/zig" \
  --volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/cert.pem:ro "$@"
ENGINE=buildah exec "$here/../image.sh" "$@"
