#!/bin/sh
# The C and C++ compiler of the stand-in: Clang, with zig's musl and libc++. Installed as `cc` and `c++`, with the
# architecture in place of ARCH.
#
# zig's linker does not know --exclude-libs and -h, and would ask for a stack of 16 MB; musl's default for threads is 128 KiB.
# Debug information, which zig adds unless it is told not to, would be stripped from every file.
name=${0##*/}
case $name in gcc) name=cc ;; g++) name=c++ ;; esac
for each in "$@"; do
  shift
  case $each in
    -Wl,--exclude-libs*) ;;
    -Wl,-h*) set -- "$@" "-Wl,-soname,${each#-Wl,-h}" ;;
    *) set -- "$@" "$each" ;;
  esac
done
export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-/var/cache/zig}"
exec /usr/lib/zig/zig "$name" -target ARCH-linux-musl -dynamic -fno-sanitize=undefined -Wno-date-time \
  -Wl,-z,stack-size=131072 -isystem /usr/include "$@" -g0
