#!/bin/sh
# Compile one part of the stand-in inside the Alpine system; docker/standin/make.sh calls it. /work is its directory.
set -eu

part=$1
target=/work/packages/$part
arch=$(uname -m)
version=0

# The directory is deleted first, because an earlier attempt may have left something.
make_libbz2() {
  cd /work/build/bzip2
  make -j"$JOBS" -f Makefile-libbz2_so CC=cc
  mkdir -p "$target/usr/lib" "$target/usr/include"
  cp libbz2.so.1.0.8 "$target/usr/lib"
  ln -s libbz2.so.1.0.8 "$target/usr/lib/libbz2.so.1.0"
  ln -s libbz2.so.1.0.8 "$target/usr/lib/libbz2.so"
  cp bzlib.h "$target/usr/include"
}
make_libffi() {
  cd /work/build/libffi
  ./configure --disable-static --disable-docs --prefix=/usr --libdir=/usr/lib
  make -j"$JOBS" install DESTDIR="$target"
}
make_sqlite_libs() {
  cd /work/build/sqlite3
  mkdir -p "$target/usr/lib" "$target/usr/include"
  cc -O2 -fPIC -shared -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_COLUMN_METADATA -Wl,-soname,libsqlite3.so.0 sqlite3.c \
    -o "$target/usr/lib/libsqlite3.so.0"
  ln -s libsqlite3.so.0 "$target/usr/lib/libsqlite3.so"
  cp sqlite3.h sqlite3ext.h "$target/usr/include"
}
make_jemalloc() {
  cd /work/build/jemalloc
  [ -e configure ] || exit 1
  ./configure --disable-cxx --disable-doc --disable-static --prefix=/usr
  make -j"$JOBS" install_lib_shared DESTDIR="$target"
}
make_libjpeg_turbo() {
  cmake -S /work/build/libjpeg-turbo -B /work/build/libjpeg-turbo/made -DCMAKE_BUILD_TYPE=Release -DENABLE_STATIC=OFF \
    -DWITH_TURBOJPEG=OFF -DWITH_JPEG8=ON -DCMAKE_POLICY_VERSION_MINIMUM=3.5 \
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=/usr/lib
  cmake --build /work/build/libjpeg-turbo/made --parallel "$JOBS"
  DESTDIR=$target cmake --install /work/build/libjpeg-turbo/made
}
make_lcms2() {
  cd /work/build/lcms2
  mkdir -p "$target/usr/lib" "$target/usr/include"
  cc -O2 -fPIC -shared -Iinclude -Wl,-soname,liblcms2.so.2 src/*.c -o "$target/usr/lib/liblcms2.so.2"
  ln -s liblcms2.so.2 "$target/usr/lib/liblcms2.so"
  cp include/lcms2.h include/lcms2_plugin.h "$target/usr/include"
}

# The options are those of the official image, without profile-guided and link-time optimization, which take hours with
# this compiler. configure detects musl by __DEFINED_va_list, which zig's headers do not define.
make_python() {
  cp -a /work/packages/libbz2/. /work/packages/libffi/. /work/packages/sqlite-libs/. /
  cd /work/build/python3.13
  [ -e Makefile ] || CC=gcc CXX=g++ CPP="gcc -E -D__DEFINED_va_list" CFLAGS=-I/usr/include LDFLAGS="-L/usr/lib -Wl,-s" \
    LIBFFI_CFLAGS=-I/usr/include LIBFFI_LIBS=-lffi LIBSQLITE3_CFLAGS=-I/usr/include LIBSQLITE3_LIBS=-lsqlite3 \
    LIBUUID_CFLAGS=-I/usr/include/uuid LIBUUID_LIBS=-luuid ZLIB_CFLAGS=-I/usr/include ZLIB_LIBS=-lz \
    BZIP2_CFLAGS=-I/usr/include BZIP2_LIBS=-lbz2 LIBLZMA_CFLAGS=-I/usr/include LIBLZMA_LIBS=-llzma \
    ./configure --build="$arch-linux-musl" --prefix=/usr/local --with-openssl=/usr --enable-loadable-sqlite-extensions \
    --enable-shared --disable-test-modules --with-ensurepip=install
  # zig links nothing without an object.
  : >empty.c && cc -c empty.c
  make -j"$JOBS" EXTRA_CFLAGS=-DTHREAD_STACK_SIZE=0x100000 NO_AS_NEEDED="-Wl,--no-as-needed empty.o"
  # The option makes compileall print its help instead of bytecode, which would be deleted below.
  make install DESTDIR="$target" COMPILEALL_OPTS=-h NO_AS_NEEDED="-Wl,--no-as-needed empty.o"
  # As the official image: without tests, static libraries and bytecode, and with the short names.
  cd "$target/usr/local"
  find . -depth \( \( -type d -a \( -name test -o -name tests -o -name idle_test \) \) -o \
    \( -type f -a \( -name '*.pyc' -o -name '*.pyo' -o -name 'libpython*.a' \) \) \) -exec rm -rf '{}' +
  for name in idle3 pip3 pydoc3 python3 python3-config; do
    [ ! -e "bin/$name" ] || ln -sf "$name" "bin/$(echo "$name" | tr -d 3)"
  done
}

# package NAME VERSION DEPENDENCIES FILE...: what lies at these places of an installed part becomes a package.
package() {
  name=$1 version=$2 depends=$3 from=$4
  shift 4
  rm -rf /tmp/package
  mkdir -p /tmp/package
  (cd "/work/packages/$from" && ls -d "$@" >/dev/null && find "$@" -depth | cpio -pdm /tmp/package 2>/dev/null)
  apk mkpkg --compression none --files /tmp/package --info "name:$name" --info "version:$version-r0" --info "arch:$arch" \
    --info "description:Stand-in for Alpine's package" --info license:various ${depends:+--info "depends:$depends"} \
    --sign-key /work/standin.rsa --output "/work/repository/$arch/$name-$version-r0.apk"
}
make_repository() {
  rm -f /work/repository/"$arch"/*
  package build-base 0.5 "" build-base .
  package cmake 4.4.5 "" cmake .
  package nasm 2.16.03 "" nasm .
  package linux-headers 6.12 "" linux-headers .
  package jemalloc 5.3.0 "" jemalloc usr/lib/libjemalloc.so.2
  package libjpeg-turbo 2.1.5 "" libjpeg-turbo usr/lib/libjpeg.so.8 usr/lib/libjpeg.so.8.2.2
  package libjpeg-turbo-dev 2.1.5 libjpeg-turbo libjpeg-turbo usr/include usr/lib/libjpeg.so
  package lcms2 2.16 "" lcms2 usr/lib/liblcms2.so.2
  package lcms2-dev 2.16 lcms2 lcms2 usr/include usr/lib/liblcms2.so
  cd "/work/repository/$arch"
  apk mkndx --allow-untrusted --sign-key /work/standin.rsa --output APKINDEX.tar.gz ./*.apk
}

case $part in repository) ;; *) rm -rf "$target" ;; esac
"make_$(echo "$part" | tr - _)"
case $part in
  repository | python) ;;
  *) find "$target" -type f -name '*.so.*' -exec strip {} + ;;
esac
