#!/bin/sh
# Lets rustdoc write JSON on a stable toolchain. Used by tests/api alone.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
