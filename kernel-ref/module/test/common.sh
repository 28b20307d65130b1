# What the tests in the guest share.
mkdir -p /mnt/m /tmp/source
failed=no

fresh_source() {
    rm -rf /tmp/source
    mkdir -p /tmp/source
    dd if=/dev/zero of=/tmp/source/file0 bs=65536 count=16 2>/dev/null
}

# The daemon has answered INIT when a call is answered.
wait_for_mount() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        if grep -q ' /mnt/m fuse' /proc/mounts; then
            return 0
        fi
        sleep 0.1
    done
    echo "not mounted"
    exit 1
}

# The kernel has nothing to complain of, everything was freed, and the module goes.
finish() {
    rmmod fuseref 2>/dev/null || { echo "fuseref is still in use"; failed=yes; }
    if dmesg | grep -E 'BUG|WARNING|Oops|Objects remaining|blocked for more|stall|lockup|refcount_t|corrupt'; then
        failed=yes
    fi
    test $failed = no
}
