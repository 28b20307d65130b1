# In the guest: the same daemon and the same calls over fuse.ko and fuseref must make the same
# requests. Run by ../check; leaves counts of each in its folder.
. ./common.sh

# The daemons' clocks tick every 4 ms, and whether two changes are within one tick decides
# whether the page cache is dropped.
tick() {
    sleep 0.01
}

calls() {
    ./calls "$1" 3 >/dev/null || exit 1
    ls -la "$1" >/dev/null
    : >"$1/text"
    tick
    echo text >"$1/text"
    tick
    cat "$1/text" >/dev/null
    tick
    echo more >>"$1/text"
    tick
    : >"$1/text"
    mkdir -p "$1/a/b/c"
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do : >"$1/a/file-$i"; done
    ls -l "$1/a" >/dev/null
    ls "$1/a" >/dev/null
    stat "$1/a/file-7" >/dev/null
    mv "$1/a/file-1" "$1/a/b/moved"
    mv "$1/a/file-2" "$1/a/file-3"
    cp "$1/a/file-4" "$1/a/b/c/"
    chmod 600 "$1/a/file-5"
    touch "$1/a/file-6"
    test -w "$1/a/file-7"
    : >"$1/big"
    tick
    dd if=/dev/zero of="$1/big" bs=300000 count=3 2>/dev/null
    dd if="$1/big" of=/dev/null bs=4096 2>/dev/null
    dd if="$1/big" of=/dev/null bs=65536 2>/dev/null
    tick
    dd if=/dev/zero of="$1/big" bs=777 count=20 seek=100 conv=notrunc 2>/dev/null
    dd if="$1/big" of=/dev/null bs=3000 skip=20 count=9 2>/dev/null
    cat "$1/nothing" 2>/dev/null
    df "$1" >/dev/null
    if [ "$2" = stackfs ]; then
        ln -s text "$1/symbolic"
        cat "$1/symbolic" >/dev/null
        readlink "$1/symbolic" >/dev/null
        ln "$1/text" "$1/hard"
        stat "$1/text" >/dev/null
    fi
    rm -r "$1/a" "$1/big"
    sync
}

# count NAME TYPE DAEMON OPTIONS...: the daemon's own log says what it was asked.
count() {
    local name=$1 type=$2 daemon=$3
    shift 3
    fresh_source
    ./mount.fuseref -t "$type" /mnt/m "$daemon" -f -d "$@" 2>"$name.$type.log" &
    wait_for_mount
    calls /mnt/m "$daemon"
    umount /mnt/m
    wait
    sed -n 's/^ *unique: [0-9]*, opcode: \([A-Z0-9_]*\) .*/\1/p' "$name.$type.log" |
        sort | uniq -c >"$name.$type.count"
}

compare() {
    local name=$1
    shift
    count "$name" fuse "$@"
    count "$name" fuseref "$@"
    if [ ! -s "$name.fuse.count" ] || ! cmp -s "$name.fuse.count" "$name.fuseref.count"; then
        echo "counts: $name differ (fuse, fuseref):"
        diff "$name.fuse.count" "$name.fuseref.count"
        failed=yes
    else
        echo "counts: $name: $(awk '{n += $1} END {print n}' "$name.fuse.count") requests of" \
            "$(wc -l <"$name.fuse.count") kinds, equal"
    fi
}

# A time-out that passes within a run, or not, would decide about requests.
long=attr_timeout=100,entry_timeout=100
compare null nullfs -s -o $long
compare null_direct nullfs -s -o direct_io,$long
compare null_no_times nullfs -s -o attr_timeout=0,entry_timeout=0
compare null_negative nullfs -s -o negative_timeout=100,$long
compare null_keep nullfs -s -o keep_cache,no_readdirplus,$long
compare null_small nullfs -s -o max_write=16384,max_readahead=32768,no_flush,$long
compare stack stackfs -s -o source=/tmp/source,$long
compare stack_no_times stackfs -s -o source=/tmp/source,attr_timeout=0,entry_timeout=0
rm -f *.log
finish
